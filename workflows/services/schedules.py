"""What people do with schedules: make, change, pause, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.errors import Forbidden, Problem, Rejected, reject_if
from mcp_site.core.ids import Reference
from workflows.engine import start
from workflows.errors import NothingToRun
from workflows.models import Workflow
from workflows.models.schedule import CatchUp, Overlap, Schedule
from workflows.schedules import cron as crons
from workflows.schedules import firing
from workflows.services.starters import change, may_stop, require_new, shown

MAX_UPCOMING = 5


def parse(cron: str, timezone: str) -> crons.Cron:
    """Return the checked pair. Raises Rejected at `cron` or `timezone`."""
    try:
        return crons.parse(cron, timezone)
    except crons.BadZone as exc:
        raise Rejected(str(exc), attr="timezone", code="unknown_timezone") from exc
    except crons.BadCron as exc:
        raise Rejected(str(exc), attr="cron", code="invalid_cron") from exc


def upcoming(cron: str, timezone: str) -> list[Any]:
    """Return the next five moments (UTC) at which this would be due. Raises Rejected."""
    times = crons.times(parse(cron, timezone), clock.now())
    return [moment for moment, _ in zip(times, range(MAX_UPCOMING), strict=False)]


@transaction.atomic
def create_schedule(
    *,
    by: User,
    workflow: Workflow,
    cron: str,
    timezone: str = "UTC",
    inputs: Mapping[str, Any] | None = None,
    version: str | None = None,
    catch_up: str = CatchUp.LAST,
    overlap: str = Overlap.ALLOW,
    enabled: bool = True,
) -> Schedule:
    """Have `workflow` run by the clock, as `by`. Raises Forbidden, Conflict, Rejected (paths as in the API)."""
    require_new(by, workflow, Schedule)
    schedule = Schedule(
        workflow=workflow,
        owner=by,
        cron=cron,
        timezone=timezone,
        inputs=dict(inputs or {}),
        version=version or "",
        catch_up=catch_up,
        overlap=overlap,
        enabled=enabled,
    )
    _check(schedule)
    schedule.save(force_insert=True)
    audit.log(by, "schedule.create", schedule, changes=audit.diff({}, _shown(schedule)))
    return schedule


@transaction.atomic
def update_schedule(*, by: User, schedule: Schedule, **changes: Any) -> Schedule:
    """Change a schedule; pausing alone may also whoever edits the workflow. Raises Forbidden, Conflict, Rejected."""
    access.require(by, "schedule.edit")
    locked = Schedule.objects.select_for_update(of=("self",)).select_related("workflow", "owner").get(pk=schedule.pk)
    before = _shown(locked)
    change(by, locked, changes)
    _check(locked)
    locked.save()
    if not locked.enabled:
        firing.drop_queued(locked)
    audit.log(by, "schedule.update", locked, changes=audit.diff(before, _shown(locked)))
    return locked


@transaction.atomic
def delete_schedule(*, by: User, schedule: Schedule) -> None:
    """Remove a schedule and the list of its due times; its runs stay. Raises Forbidden."""
    access.require(by, "schedule.edit")
    if not may_stop(by, schedule):
        raise Forbidden
    audit.log(by, "schedule.delete", schedule, changes=audit.diff(_shown(schedule), {}))
    schedule.delete()


def _check(schedule: Schedule) -> None:
    """See that it can start as things are now, and set its next time. Raises Rejected, NothingToRun."""
    found = parse(schedule.cron, schedule.timezone)
    schedule.cron = " ".join(schedule.cron.split())
    schedule.next_at = crons.first(found, clock.now()) if schedule.enabled else None
    if not schedule.enabled:
        return
    if not schedule.workflow.latest_number:
        raise NothingToRun
    unknown = Problem("version", "unknown_version", "there is no such version or alias")
    try:
        Reference.parse(f"{schedule.workflow.slug}@{schedule.version or 1}")
    except ValueError:
        reject_if([unknown])
    version = firing.version_of(schedule)
    if version is None:
        raise Rejected([unknown])
    start.with_defaults(version.input_schema, schedule.inputs)


def _shown(schedule: Schedule) -> dict[str, Any]:
    return shown(schedule, "cron", "timezone", "version", "catch_up", "overlap", "enabled")
