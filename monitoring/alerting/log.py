"""Opening, raising and resolving alerts, each in one transaction with the messages that go out for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.documents import canonical
from mcp_site.core.ids import uuid7
from monitoring.channels import Message
from monitoring.models import Alert, AlertRule, Channel, Delivery, Series
from monitoring.states import AlertState, Comparison, Happening

_WORDS = {
    Happening.OPENED: "opened",
    Happening.ESCALATED: "became worse",
    Happening.REMINDED: "is still open",
    Happening.RESOLVED: "is resolved",
}


def fingerprint_of(rule: AlertRule | None, about: Any) -> str:
    """Return what makes an alert the same alert: the rule and the series, or (by hand) the title."""
    return hashlib.sha256(canonical([str(rule.uid) if rule else None, about])).hexdigest()


@transaction.atomic
def open_alert(
    *,
    fingerprint: str,
    title: str,
    severity: str,
    channels: Iterable[Channel],
    rule: AlertRule | None = None,
    series: Series | None = None,
    value: float | None = None,
    samples: list[Any] | None = None,
    details: Mapping[str, Any] | None = None,
    by: User | None = None,
) -> tuple[Alert, bool]:
    """Open an alert and queue its messages; returns it and True, or the one that is open already and False."""
    made = Alert(
        rule=rule,
        series=series,
        fingerprint=fingerprint,
        title=title[:300],
        severity=severity,
        value=value,
        threshold=rule.threshold if rule else None,
        comparison=rule.comparison if rule else "",
        tags=dict(series.tags) if series else {},
        details=dict(details or {}),
        samples=samples or [],
        opened_at=clock.now(),
        opened_by=by,
        notified_at=clock.now(),
    )
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        # Somebody was first: the unique index over open fingerprints decides, not a look beforehand.
        there = Alert.objects.unresolved().filter(fingerprint=fingerprint).first()
        if there is None:
            raise
        return there, False
    announce(made, Happening.OPENED, channels)
    return made, True


def escalate_alert(alert: Alert, severity: str, value: float | None) -> None:
    """Raise an alert to a worse severity. Call inside a transaction that holds its row."""
    alert.severity, alert.value, alert.notified_at = severity, value, clock.now()
    alert.save(update_fields=["severity", "value", "notified_at"])
    announce(alert, Happening.ESCALATED, channels_of(alert))


def remind_of_alert(alert: Alert) -> None:
    """Say again that an alert is open. Call inside a transaction that holds its row."""
    alert.notified_at = clock.now()
    alert.save(update_fields=["notified_at"])
    announce(alert, Happening.REMINDED, channels_of(alert))


@transaction.atomic
def resolve_alert(alert: Alert, *, by: User | None = None, value: float | None = None) -> bool:
    """End an alert (`by` None: by itself). False: it was over already."""
    held = Alert.objects.select_for_update(of=("self",)).filter(pk=alert.pk, resolved_at=None).first()
    if held is None:
        return False
    held.state, held.resolved_at, held.resolved_by = AlertState.RESOLVED, clock.now(), by
    held.value = held.value if value is None else value
    held.save(update_fields=["state", "resolved_at", "resolved_by", "value"])
    announce(held, Happening.RESOLVED, channels_of(held))
    return True


def channels_of(alert: Alert) -> list[Channel]:
    """Return the channels that hear of an alert: its rule's, or (by hand) those that heard of it first."""
    if alert.rule_id is not None:
        return list(Channel.objects.filter(rules=alert.rule_id))
    return list(Channel.objects.filter(deliveries__alert=alert).distinct())


def announce(alert: Alert, happening: Happening, channels: Iterable[Channel]) -> None:
    """Queue one message to each enabled channel; they go out after commit."""
    Delivery.objects.bulk_create(_delivery(channel, alert, happening) for channel in channels if channel.enabled)


def address_of(alert: Alert) -> str:
    """Return the address of the alert's page, for people elsewhere."""
    base = settings.PUBLIC_URL or f"http://{settings.MCP_OWN_ADDRESS or 'localhost:8000'}"
    return f"{base.rstrip('/')}{alert.get_absolute_url()}"


def _delivery(channel: Channel, alert: Alert, happening: Happening) -> Delivery:
    uid = uuid7()
    message = Message(
        id=str(uid),
        happening=happening.value,
        at=clock.now(),
        title=alert.title,
        severity=alert.severity,
        state=alert.state,
        text=_text(alert, happening),
        url=address_of(alert),
        alert=str(alert.uid),
        rule=alert.rule.name if alert.rule else None,
        metric=alert.rule.metric if alert.rule else None,
        tags=alert.tags,
        value=alert.value,
        threshold=alert.threshold,
        comparison=alert.comparison,
        opened_at=_iso(alert.opened_at),
        resolved_at=_iso(alert.resolved_at),
        details=alert.details,
    )
    return Delivery(
        uid=uid, channel=channel, alert=alert, happening=happening, message=message.as_json(), next_at=clock.now()
    )


def _text(alert: Alert, happening: Happening) -> str:
    said = f"{alert.title} {_WORDS[happening]}."
    if alert.rule is None or alert.value is None:
        return said
    tags = ", ".join(f"{name} {value}" for name, value in sorted(alert.tags.items()))
    about = f"{alert.rule.aggregate} of {alert.rule.metric}{f' ({tags})' if tags else ''}"
    word = Comparison(alert.comparison).label
    return f"{said} {about} is {alert.value:.6g}; the rule says {word} {alert.rule.threshold:.6g}."


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
