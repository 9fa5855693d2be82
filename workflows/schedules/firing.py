"""The tick of schedules: each due time starts at most one run, whoever else is at it.

Three things hold that, each by itself: the tick's advisory lock, the lock on the schedule's row, and the unique
(schedule, due time). The run is started in the transaction that writes the due time down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, InterfaceError, transaction

from accounts import audit
from mcp_site.core import clock
from mcp_site.core.errors import AppError
from mcp_site.core.ids import Reference
from workflows.engine import start
from workflows.errors import NothingToRun
from workflows.models import Run, TriggerKind, WorkflowVersion
from workflows.models.schedule import Firing, Outcome, Overlap, Schedule
from workflows.schedules import cron, owners, policy

logger = logging.getLogger(__name__)
# Schedules looked at by one call; the rest comes at once after.
BATCH = 200
# Due times of one schedule that may wait for a run to end.
MAX_QUEUED = 100
KEPT_FOR = timedelta(days=90)
PRUNED_AT_ONCE = 5000


class MustPause(AppError):
    """This schedule can't go on by itself."""

    code = "paused"
    status = 409


def fire_due() -> float | None:
    """Start what is due, then what waited for a run that has ended. A tick; returns the seconds to the next if full."""
    now = clock.now()
    due = Schedule.objects.filter(enabled=True, next_at__lte=now).order_by("next_at")
    found = list(due.values_list("pk", flat=True)[:BATCH])
    for pk in found:
        _alone(_fire, pk, now)
    queued = Firing.objects.filter(outcome=Outcome.QUEUED, schedule__enabled=True)
    for pk in queued.order_by("schedule_id").values_list("schedule_id", flat=True).distinct()[:BATCH]:
        _alone(_start_waiting, pk, now)
    return 0.05 if len(found) == BATCH else None


def _alone(function: Callable[[int, datetime], None], pk: int, now: datetime) -> None:
    try:
        function(pk, now)
    except InterfaceError:
        # The connection is gone, for the others too: the tick says so once.
        raise
    except Exception:
        # One schedule must not stop the others; it is tried again at the next turn.
        logger.exception("schedule %s could not be carried out", pk)


def _locked(pk: int) -> Schedule | None:
    """Return the schedule with its row locked, None where another process has it or it is gone."""
    rows = Schedule.objects.select_for_update(of=("self",), skip_locked=True).select_related("workflow", "owner")
    return rows.filter(pk=pk, enabled=True).first()


@transaction.atomic
def _fire(pk: int, now: datetime) -> None:
    schedule = _locked(pk)
    if schedule is None or schedule.next_at is None or schedule.next_at > now:
        return
    turn = policy.turn(cron.parse(schedule.cron, schedule.timezone), schedule.next_at, now, schedule.catch_up)
    schedule.next_at = turn.next_at
    if turn.missed is not None:
        _claim(schedule, turn.missed, Outcome.MISSED, "This time, and any before it, passed while nobody was there.")
    for due_at in turn.start:
        if schedule.enabled and (firing := _claim(schedule, due_at, Outcome.STARTED)) is not None:
            _carry_out(schedule, firing)
    schedule.save(update_fields=["next_at", "enabled", "notice", "last_run", "updated_at"])


def _claim(schedule: Schedule, due_at: datetime, outcome: Outcome, detail: str = "") -> Firing | None:
    """Write the due time down; None where somebody has done so."""
    try:
        with transaction.atomic():
            return Firing.objects.create(schedule=schedule, due_at=due_at, outcome=outcome, detail=detail)
    except IntegrityError:
        return None


def _carry_out(schedule: Schedule, firing: Firing) -> None:
    if schedule.overlap != Overlap.ALLOW and schedule.unfinished_runs().exists():
        waiting = schedule.firings.filter(outcome=Outcome.QUEUED).count()
        if schedule.overlap == Overlap.QUEUE and waiting < MAX_QUEUED:
            firing.outcome = Outcome.QUEUED
        else:
            firing.outcome, firing.detail = Outcome.SKIPPED, "The run before it was still going."
            if schedule.overlap == Overlap.QUEUE:
                firing.detail = f"{waiting} due times were waiting already."
        firing.save(update_fields=["outcome", "detail"])
        return
    _start(schedule, firing)


@transaction.atomic
def _start_waiting(pk: int, now: datetime) -> None:
    schedule = _locked(pk)
    if schedule is None or schedule.unfinished_runs().exists():
        return
    firing = schedule.firings.filter(outcome=Outcome.QUEUED).order_by("due_at").first()
    if firing is not None:
        _start(schedule, firing)
        schedule.save(update_fields=["next_at", "enabled", "notice", "last_run", "updated_at"])


def _start(schedule: Schedule, firing: Firing) -> None:
    """Start the run of a due time; what can't be started is said at the due time and at the schedule."""
    try:
        with transaction.atomic():
            firing.run = _begin(schedule)
    except MustPause as exc:
        firing.outcome, firing.detail = Outcome.REFUSED, exc.detail[:500]
        _pause(schedule, exc.detail)
    except AppError as exc:
        where = f"{exc.attr}: " if exc.attr else ""
        firing.outcome, firing.detail = Outcome.REFUSED, f"{where}{exc.detail}"[:500]
        schedule.notice = firing.detail
    else:
        firing.outcome, schedule.last_run, schedule.notice = Outcome.STARTED, firing.run, ""
    firing.save(update_fields=["outcome", "detail", "run"])


def _begin(schedule: Schedule) -> Run:
    owner, workflow = schedule.owner, schedule.workflow
    if (reason := owners.why_paused(owner, workflow)) is not None:
        raise MustPause(reason)
    version = version_of(schedule)
    if version is None:
        raise NothingToRun
    run = start.start_workflow(
        version=version,
        inputs=schedule.inputs,
        by=owner,
        trigger=TriggerKind.SCHEDULE,
        trigger_id=str(schedule.uid),
    )
    changes = {"version": [None, version.number], "schedule": [None, str(schedule.uid)]}
    audit.log(owner, "run.start", run, name=f"{workflow.slug} #{run.pk}", changes=changes)
    return run


def version_of(schedule: Schedule) -> WorkflowVersion | None:
    """Return the version that a start would now run; None where there is none by that name."""
    text = f"{schedule.workflow.slug}@{schedule.version}" if schedule.version else schedule.workflow.slug
    reference = Reference.parse(text)
    return WorkflowVersion.objects.resolve([reference]).get(reference)


def _pause(schedule: Schedule, notice: str) -> None:
    schedule.enabled, schedule.next_at, schedule.notice = False, None, notice[:500]
    drop_queued(schedule)
    audit.log(None, "schedule.pause", schedule, changes={"enabled": [True, False], "notice": [None, notice]})


def drop_queued(schedule: Schedule) -> None:
    """Give up the due times that wait: whoever switches a schedule on again does not mean those of before."""
    waiting = schedule.firings.filter(outcome=Outcome.QUEUED)
    waiting.update(outcome=Outcome.SKIPPED, detail="The schedule was paused meanwhile.")


def pause_orphans() -> None:
    """Pause what its owner may not run any more, before it is due. A tick."""
    owners.pause_those(Schedule.objects.filter(enabled=True), _pause_now)


@transaction.atomic
def _pause_now(found: Schedule, reason: str) -> None:
    schedule = _locked(found.pk)
    # Asked again under the lock: he may have got it back meanwhile.
    if schedule is not None and owners.why_paused(schedule.owner, schedule.workflow) is not None:
        _pause(schedule, reason)
        schedule.save(update_fields=["next_at", "enabled", "notice", "updated_at"])


def prune() -> None:
    """Delete due times that are older than 90 days. A tick."""
    old = Firing.objects.filter(at__lt=clock.now() - KEPT_FOR).exclude(outcome=Outcome.QUEUED).order_by("at")
    Firing.objects.filter(pk__in=old.values("pk")[:PRUNED_AT_ONCE]).delete()
