"""Channels: made, changed, deleted, tried; and the reader's own inbox."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from pydantic import ValidationError

from accounts import access, audit
from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.errors import Rejected, problem_of
from mcp_site.core.sealing import seal
from monitoring import alerting, channels
from monitoring.alerting.delivery import opened
from monitoring.models import Channel, Delivery, Notification

# What an answer shows of a secret, so that sending an answer back changes nothing.
_SECRET_AS_SHOWN = ({"set": True}, {"set": False})


@transaction.atomic
def create_channel(
    *, by: User, slug: str, name: str, type: str, config: Mapping[str, Any], enabled: bool = True
) -> tuple[Channel, dict[str, str]]:
    """Make a channel; returns it and the secrets that the panel made, to be shown once. Raises Forbidden, Rejected."""
    access.require(by, "channel.edit")
    if type not in channels.CHANNELS:
        raise Rejected(f"one of {', '.join(channels.CHANNELS)}", attr="type", code="invalid_choice")
    kind = channels.get(type).Config
    missing = {field for field in kind.generated_fields() if not config.get(field)}
    made = {field: secrets.token_urlsafe(32) for field in missing}
    channel = Channel(slug=slug, name=name, type=type, enabled=enabled, owner=by)
    _set_config(channel, {**config, **made})
    try:
        with transaction.atomic():
            channel.save(force_insert=True)
    except IntegrityError as exc:
        raise Rejected("a channel of this slug exists", attr="slug", code="unique") from exc
    changes = {"type": [None, type], "config": [None, channel.config], "secrets_set": sorted(channel.secrets)}
    audit.log(by, "channel.create", channel, changes=changes)
    return channel, made


@transaction.atomic
def update_channel(
    *,
    by: User,
    channel: Channel,
    name: str | None = None,
    enabled: bool | None = None,
    config: Mapping[str, Any] | None = None,
) -> Channel:
    """Change what is given; a config field left out stays, a secret too. Raises Forbidden, Rejected, SealBroken."""
    access.require(by, "channel.edit")
    held = Channel.objects.select_for_update().get(pk=channel.pk)
    before = {"name": held.name, "enabled": held.enabled, "config": held.config}
    held.name = held.name if name is None else name
    held.enabled = held.enabled if enabled is None else enabled
    replaced: list[str] = []
    if config is not None:
        known = channels.get(held.type).Config.secret_fields()
        given = {field: v for field, v in config.items() if field not in known or v not in _SECRET_AS_SHOWN}
        _set_config(held, {**opened(held), **given})
        replaced = sorted(known & given.keys())
    held.save()
    after = {"name": held.name, "enabled": held.enabled, "config": held.config}
    changes = audit.diff(before, after) | ({"secrets_set": replaced} if replaced else {})
    if changes:
        audit.log(by, "channel.update", held, changes=changes)
    return held


@transaction.atomic
def delete_channel(*, by: User, channel: Channel) -> None:
    """Take a channel away with its log; rules that named it go on without it. Raises Forbidden."""
    access.require(by, "channel.edit")
    rules = sorted(channel.rules.values_list("name", flat=True))
    audit.log(by, "channel.delete", channel, changes={"rules": rules})
    channel.delete()


def test_channel(*, by: User, channel: Channel) -> Delivery:
    """Send a test message now; returns its entry in the log, failed or not. Raises Forbidden."""
    access.require(by, "channel.edit")
    # No transaction stays open while the other side is asked.
    delivery = alerting.send_test(channel, by)
    audit.log(by, "channel.test", channel, changes={"state": delivery.state})
    return delivery


def read_notifications(*, by: User, ids: Sequence[UUID] | None = None) -> int:
    """Mark own notifications as read, all or those of `ids`; returns how many were unread."""
    unread = Notification.objects.filter(person=by, read_at=None)
    if ids is not None:
        unread = unread.filter(uid__in=ids)
    return unread.update(read_at=clock.now())


def _set_config(channel: Channel, values: Mapping[str, Any]) -> None:
    """Check `values` and put them into the row, the secret ones sealed. Raises Rejected, which repeats no value."""
    kind = channels.get(channel.type).Config
    try:
        config = kind.model_validate(dict(values))
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_context=False, include_input=False)
        raise Rejected([problem_of(dict(error)).under("config") for error in found]) from exc
    plain = config.model_dump(mode="json")
    hidden = {field: str(plain.pop(field) or "") for field in kind.secret_fields()}
    channel.config = plain
    channel.secrets = {field: seal(value, channel.seal_place(field)) for field, value in hidden.items() if value}
