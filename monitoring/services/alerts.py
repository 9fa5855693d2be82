"""Alerts: raised by hand, acknowledged, resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.errors import Conflict, Problem, Rejected
from monitoring import alerting
from monitoring.models import Alert, Channel
from monitoring.states import AlertState


class AlertResolved(Conflict):
    """The alert is resolved already."""

    code = "resolved"


@transaction.atomic
def raise_alert(
    *,
    by: User,
    title: str,
    severity: str,
    details: Mapping[str, Any] | None = None,
    channels: Sequence[str] = (),
) -> tuple[Alert, bool]:
    """Open an alert by hand, or return the one of this title that is open, and whether it is new.

    Raises Forbidden, Rejected (an unknown channel).
    """
    access.require(by, "alert.edit")
    found = list(Channel.objects.filter(slug__in=channels))
    known = {channel.slug for channel in found}
    unknown = [
        Problem(f"channels.{index}", "does_not_exist", "there is no channel of this slug")
        for index, slug in enumerate(channels)
        if slug not in known
    ]
    if unknown:
        raise Rejected(unknown)
    fingerprint = alerting.fingerprint_of(None, title)
    alert, is_new = alerting.open_alert(
        fingerprint=fingerprint, title=title, severity=severity, channels=found, details=details, by=by
    )
    if is_new:
        audit.log(by, "alert.raise", alert, name=alert.title, changes={"severity": [None, severity]})
    return alert, is_new


@transaction.atomic
def acknowledge_alert(*, by: User, alert: Alert) -> Alert:
    """Say that somebody looks after it; a second time changes nothing. Raises Forbidden, AlertResolved."""
    access.require(by, "alert.edit")
    held = Alert.objects.select_for_update(of=("self",)).get(pk=alert.pk)
    if held.state == AlertState.RESOLVED:
        raise AlertResolved
    if held.state == AlertState.OPEN:
        held.state, held.acknowledged_at, held.acknowledged_by = AlertState.ACKNOWLEDGED, clock.now(), by
        held.save(update_fields=["state", "acknowledged_at", "acknowledged_by"])
        audit.log(by, "alert.acknowledge", held, name=held.title, changes={})
    return held


@transaction.atomic
def resolve_alert_by_hand(*, by: User, alert: Alert) -> Alert:
    """End it; while its series is still bad, its rule opens another. Raises Forbidden, AlertResolved."""
    access.require(by, "alert.edit")
    if not alerting.resolve_alert(alert, by=by):
        raise AlertResolved
    audit.log(by, "alert.resolve", alert, name=alert.title, changes={})
    return Alert.objects.get(pk=alert.pk)
