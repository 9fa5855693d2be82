"""Judging series by rules: now, every few seconds, and in a preview over the past."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts.models import User
from mcp_site.core import clock
from monitoring import series
from monitoring.alerting.log import (
    escalate_alert,
    fingerprint_of,
    open_alert,
    remind_of_alert,
    resolve_alert,
)
from monitoring.models import Alert, AlertRule, RuleStanding, Series
from monitoring.rules import Standing, Terms, judge
from monitoring.series.read import floor
from monitoring.sketch import Sketch
from monitoring.states import AlertState

# A series that has been silent for so long is not judged any more, unless an alert about it is open.
FORGOTTEN = timedelta(days=30)
# How many minutes before it opened are kept with an alert.
EVIDENCE = 60
PREVIEWED, STEP, MAX_PREVIEWED = timedelta(days=7), timedelta(minutes=5), 10


def evaluate(now: datetime | None = None) -> None:
    """Judge every series by every enabled rule that is about it. A tick; four queries a rule, and one a change."""
    at = now or clock.now()
    for rule in AlertRule.objects.filter(enabled=True).order_by("pk"):
        _evaluate(rule, at)


@transaction.atomic
def _evaluate(rule: AlertRule, now: datetime) -> None:
    # Held, so that a rule that is being changed or deleted is judged before or after, and by one clock at a time.
    held = AlertRule.objects.select_for_update(skip_locked=True).filter(pk=rule.pk, enabled=True).first()
    if held is None:
        return
    unresolved = {alert.series_id: alert for alert in Alert.objects.unresolved().filter(rule=held)}
    standings = {standing.series_id: standing for standing in RuleStanding.objects.filter(rule=held)}
    alive = Q(last_at__gte=now - FORGOTTEN) | Q(pk__in=[key for key in unresolved if key is not None])
    about = list(Series.objects.filter(alive, name=held.metric).tagged(held.tags))
    values = series.totals([one.pk for one in about], now - timedelta(seconds=held.window), now)
    for one in about:
        value = values[one.pk].value(held.aggregate)
        _judge(held, one, value, unresolved.get(one.pk), standings.get(one.pk), now)


def _judge(
    rule: AlertRule,
    about: Series,
    value: float | None,
    alert: Alert | None,
    known: RuleStanding | None,
    now: datetime,
) -> None:
    before = Standing(
        known.warn_since if known else None, known.alert_since if known else None, alert.severity if alert else None
    )
    verdict = judge(rule.terms, before, value, now)
    _remember(rule, about, before, verdict.standing)
    match verdict.happening:
        case "opened":
            open_alert(
                fingerprint=fingerprint_of(rule, about.digest),
                title=_title(rule, about),
                severity=str(verdict.standing.open),
                channels=list(rule.channels.all()),
                rule=rule,
                series=about,
                value=value,
                samples=_evidence(rule, about, now),
            )
        case "escalated" if alert is not None:
            escalate_alert(alert, str(verdict.standing.open), value)
        case "resolved" if alert is not None:
            resolve_alert(alert, value=value)
        case _ if alert is not None and _wants_reminder(rule, alert, now):
            remind_of_alert(alert)


def _remember(rule: AlertRule, about: Series, before: Standing, after: Standing) -> None:
    since = (after.warn_since, after.alert_since)
    if since == (before.warn_since, before.alert_since):
        return
    if since == (None, None):
        RuleStanding.objects.filter(rule=rule, series=about).delete()
    else:
        fields = {"warn_since": after.warn_since, "alert_since": after.alert_since}
        RuleStanding.objects.update_or_create(rule=rule, series=about, defaults=fields)


def _wants_reminder(rule: AlertRule, alert: Alert, now: datetime) -> bool:
    if rule.renotify is None or alert.state != AlertState.OPEN or alert.notified_at is None:
        return False
    return now - alert.notified_at >= timedelta(seconds=rule.renotify)


def _title(rule: AlertRule, about: Series) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in sorted(about.tags.items()))
    return f"{rule.name}: {shown}" if shown else rule.name


def _evidence(rule: AlertRule, about: Series, now: datetime) -> list[list[Any]]:
    """Return the value of each minute with samples in the window that opened an alert, the newest 60."""
    start = max(now - timedelta(seconds=rule.window), now - timedelta(days=1))
    (line,) = series.points([about.pk], start, now, 60, rule.aggregate)
    return [[at.isoformat(), value] for at, value in line.points[-EVIDENCE:]]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One alert that a rule would have opened. `resolved_at` None: it would still be open."""

    opened_at: datetime
    severity: str
    value: float | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would have made of one series: the value at each step, and the alerts."""

    tags: dict[str, str]
    points: tuple[tuple[datetime, float], ...]
    alerts: tuple[Crossing, ...]


def preview(*, metric: str, tags: dict[str, str], terms: Terms, by: User) -> tuple[list[Preview], int]:
    """Return what the rule would have done over the last week to series that `by` may see, and how many are left out.

    The newest ten are shown, judged every five minutes.
    """
    visible = Series.objects.visible_to(by).filter(name=metric).tagged(tags)
    shown = list(visible.order_by("-last_at", "id")[:MAX_PREVIEWED])
    end = floor(clock.now(), 60) + timedelta(minutes=1)
    start = end - PREVIEWED
    window = timedelta(seconds=terms.window)
    found = []
    for one in shown:
        minutes = series.minutes_of([one.pk], start - window, end)[one.pk]
        found.append(_previewed(one.tags, terms, minutes, start, end))
    return found, max(0, visible.count() - MAX_PREVIEWED)


def _previewed(
    tags: dict[str, str],
    terms: Terms,
    minutes: Sequence[tuple[datetime, Sketch]],
    start: datetime,
    end: datetime,
) -> Preview:
    standing = Standing()
    points: list[tuple[datetime, float]] = []
    alerts: list[Crossing] = []
    for at, value in _sliding(terms, minutes, start, end):
        if value is not None:
            points.append((at, value))
        verdict = judge(terms, standing, value, at)
        standing = verdict.standing
        if verdict.happening == "opened":
            alerts.append(Crossing(at, str(standing.open), value, None))
        elif verdict.happening == "escalated":
            alerts[-1] = Crossing(alerts[-1].opened_at, str(standing.open), alerts[-1].value, None)
        elif verdict.happening == "resolved":
            alerts[-1] = Crossing(alerts[-1].opened_at, alerts[-1].severity, alerts[-1].value, at)
    return Preview(tags, tuple(points), tuple(alerts))


def _sliding(
    terms: Terms, minutes: Sequence[tuple[datetime, Sketch]], start: datetime, end: datetime
) -> Iterator[tuple[datetime, float | None]]:
    """Yield each step and the aggregate of the window before it: every minute goes in once and out once."""
    window: deque[tuple[datetime, Sketch]] = deque()
    whole = Sketch()
    coming = deque(minutes)
    at = start
    while at <= end:
        while coming and coming[0][0] < at:
            window.append(coming.popleft())
            whole.merge(window[-1][1])
        while window and window[0][0] < floor(at - timedelta(seconds=terms.window), 60):
            whole.remove(window.popleft()[1])
        # Count, sum and classes can be taken out again, least and greatest can't.
        whole.low = min((sketch.low for _, sketch in window), default=math.inf)
        whole.high = max((sketch.high for _, sketch in window), default=-math.inf)
        yield at, whole.value(terms.aggregate)
        at += STEP
