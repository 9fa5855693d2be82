"""Child runs: a step that starts a run of another workflow, and waits for its end without holding a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from definitions.kinds import StepFailed
from mcp_site.core.errors import Rejected
from workflows.engine import start, transitions
from workflows.engine.transitions import Taken
from workflows.models import Run, TriggerKind, WorkflowVersion

# How many runs may stand above a run: a workflow that calls itself without end fails here.
MAX_DEPTH = 8
BATCH = 200


@transaction.atomic
def call(taken: Taken, worker: str, version: int, inputs: Mapping[str, Any]) -> bool:
    """Start the child run and let the step wait for it, in one transaction. False: the step was taken away.

    Raises StepFailed (too deep, archived, the inputs don't fit) and what starting a run raises.
    """
    parent = Run.objects.select_related("started_by").defer("graph", "pins", "inputs", "output").get(pk=taken.run)
    child = WorkflowVersion.objects.select_related("workflow").get(pk=version)
    if parent.depth >= MAX_DEPTH:
        raise StepFailed("user_error", f"Runs can be {MAX_DEPTH} deep in each other at the most.")
    if child.workflow.archived_at is not None:
        raise StepFailed("user_error", f"The workflow `{child.workflow.slug}` is archived; nothing runs it any more.")
    if not transitions.wait(taken, worker, "child_run", None, {"workflow": str(child)}):
        return False
    try:
        start.start_workflow(
            version=child,
            inputs=inputs,
            by=parent.started_by,
            trigger=TriggerKind.PARENT,
            trigger_id=str(parent.uid),
            priority=parent.priority,
            labels=parent.labels,
            below=start.Below(taken.id, parent.depth + 1),
        )
    except Rejected as exc:
        said = "; ".join(f"{problem.path}: {problem.detail}" for problem in exc.problems[:5])
        raise StepFailed("schema_error", f"The inputs don't fit `{child}`: {said}.") from exc
    return True


def sweep() -> None:
    """Wake steps whose child has ended, and cancel children whose step has: the net under ends that were cut short."""
    ended = Run.objects.filter(parent_step__state="waiting", finished_at__isnull=False).order_by("pk")
    for run in ended.values_list("pk", flat=True)[:BATCH]:
        transitions.child_ended(run)
    transitions.cancel_orphans()
