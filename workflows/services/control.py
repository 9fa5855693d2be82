"""What people do with runs that go on: pause, resume, cancel. One's own with `run`, others' with `edit`."""

from __future__ import annotations

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from workflows.engine import transitions
from workflows.errors import NotPaused, RunNotCancellable, RunNotGoing
from workflows.models import Run


def may_control(run: Run, by: User) -> bool:
    """Tell whether `by` may pause, resume or cancel `run`."""
    return access.can(by, _needed(run, by), run.subject)


def _needed(run: Run, by: User) -> str:
    area = "workflow" if run.workflow_id else "definition"
    return f"{area}.run" if run.started_by_id == by.pk else f"{area}.edit"


@transaction.atomic
def cancel_run(*, run: Run, by: User) -> Run:
    """Cancel a run: nothing new starts, what runs is told to stop. Raises Forbidden, RunNotCancellable."""
    access.require(by, _needed(run, by), run.subject)
    if not transitions.cancel(run.pk):
        run.refresh_from_db(fields=["state"])
        if run.is_terminal:
            raise RunNotCancellable
        return run
    audit.log(by, "run.cancel", run, name=f"#{run.pk}")
    run.refresh_from_db()
    return run


@transaction.atomic
def pause_run(*, run: Run, by: User) -> Run:
    """Pause a run: nothing more is taken until it is resumed, what runs ends. Raises Forbidden, RunNotGoing.

    Pausing a paused run changes nothing.
    """
    access.require(by, _needed(run, by), run.subject)
    changed = transitions.pause(run.pk, f"paused by {by}"[:300])
    run.refresh_from_db()
    if changed:
        audit.log(by, "run.pause", run, name=f"#{run.pk}")
    elif run.state != "paused":
        raise RunNotGoing
    return run


@transaction.atomic
def resume_run(*, run: Run, by: User) -> Run:
    """Let a paused run go on. Raises Forbidden, NotPaused."""
    access.require(by, _needed(run, by), run.subject)
    if not transitions.resume(run.pk):
        raise NotPaused
    audit.log(by, "run.resume", run, name=f"#{run.pk}")
    run.refresh_from_db()
    return run
