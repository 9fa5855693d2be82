"""Rules: made, changed, deleted, and tried over the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core.errors import Problem, Rejected, reject_if
from monitoring import alerting
from monitoring.alerting import Preview
from monitoring.models import Alert, AlertRule, Channel
from monitoring.rules import Terms, problems_of

# What a rule is made of, beside its channels.
_FIELDS = (
    "name",
    "metric",
    "tags",
    "aggregate",
    "comparison",
    "threshold",
    "warn_threshold",
    "recover_threshold",
    "window",
    "hold",
    "renotify",
    "no_data",
    "enabled",
)


@transaction.atomic
def create_rule(*, by: User, channels: Sequence[str] = (), **fields: Any) -> AlertRule:
    """Make a rule; `channels` are slugs. Raises Forbidden, Rejected."""
    access.require(by, "alert.edit")
    rule = AlertRule(owner=by, **fields)
    reject_if(problems_of(rule.terms))
    found = _channels(channels)
    rule.save(force_insert=True)
    rule.channels.set(found)
    audit.log(by, "alert_rule.create", rule, name=rule.name, changes={name: [None, v] for name, v in fields.items()})
    return rule


@transaction.atomic
def update_rule(*, by: User, rule: AlertRule, channels: Sequence[str] | None = None, **fields: Any) -> AlertRule:
    """Change what is given. Locks the row, so that the clock judges by the old rule or the new. Raises as above."""
    access.require(by, "alert.edit")
    held = AlertRule.objects.select_for_update().get(pk=rule.pk)
    before = _as_dict(held)
    for name, value in fields.items():
        setattr(held, name, value)
    reject_if(problems_of(held.terms))
    held.save()
    if channels is not None:
        held.channels.set(_channels(channels))
    if changes := audit.diff(before, _as_dict(held)):
        audit.log(by, "alert_rule.update", held, name=held.name, changes=changes)
    return held


@transaction.atomic
def delete_rule(*, by: User, rule: AlertRule) -> None:
    """Take a rule away; what is open under it is resolved first. Raises Forbidden."""
    access.require(by, "alert.edit")
    held = AlertRule.objects.select_for_update().get(pk=rule.pk)
    for alert in Alert.objects.unresolved().filter(rule=held):
        alerting.resolve_alert(alert, by=by)
    audit.log(by, "alert_rule.delete", held, name=held.name, changes={})
    held.delete()


def preview_rule(
    *, by: User, metric: str, terms: Terms, tags: Mapping[str, str] | None = None
) -> tuple[list[Preview], int]:
    """Return what a rule would have done over the last week, and how many series are left out. Raises as above."""
    access.require(by, "alert.view")
    reject_if(problems_of(terms))
    return alerting.preview(metric=metric, tags=dict(tags or {}), terms=terms, by=by)


def _channels(slugs: Sequence[str]) -> list[Channel]:
    found = {channel.slug: channel for channel in Channel.objects.filter(slug__in=slugs)}
    unknown = [
        Problem(f"channels.{index}", "does_not_exist", "there is no channel of this slug")
        for index, slug in enumerate(slugs)
        if slug not in found
    ]
    if unknown:
        raise Rejected(unknown)
    return list(found.values())


def _as_dict(rule: AlertRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in _FIELDS} | {
        "channels": sorted(rule.channels.values_list("slug", flat=True))
    }
