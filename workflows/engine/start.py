"""Starting a run: one transaction writes the run, its steps, its pins and its first events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from definitions.models import DefinitionVersion
from mcp_site.core.errors import Problem, Rejected, reject_if
from mcp_site.core.schemas import problems_of_value
from workflows.engine import slots, transitions
from workflows.engine.pins import Pin, pins_of
from workflows.engine.plans import Prepared, plan_of_version, prepared
from workflows.graph import Graph, Plan, PlannedStep, compile_plan, one_step, verdict
from workflows.graph.reruns import Carried, counts
from workflows.models import Run, TriggerKind, WorkflowVersion
from workflows.states import CONTROL_QUEUE, StepState


def with_defaults(schema: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` completed by the schema's defaults. Raises Rejected, paths under `inputs`."""
    if schema is None:
        return dict(inputs)
    properties = schema.get("properties")
    defaults = {
        name: rule["default"]
        for name, rule in (properties.items() if isinstance(properties, dict) else ())
        if isinstance(rule, dict) and "default" in rule and name not in inputs
    }
    complete = {**inputs, **defaults}
    reject_if(problem.under("inputs") for problem in problems_of_value(dict(schema), complete))
    return complete


@dataclass(frozen=True, slots=True)
class Below:
    """Where a child run hangs: the step that waits for it, and how many runs are above it."""

    step: int
    depth: int


def start_workflow(
    *,
    version: WorkflowVersion,
    inputs: Mapping[str, Any],
    by: User | None,
    trigger: TriggerKind,
    trigger_id: str = "",
    priority: int = 5,
    labels: Mapping[str, str] | None = None,
    below: Below | None = None,
) -> Run:
    """Start a run of `version`, pinning what each step's reference means now; `below`: as a child of another.

    Raises Rejected (the inputs don't fit), PartUnavailable (a definition is archived or gone).
    """
    run = Run(
        workflow=version.workflow,
        version=version,
        inputs=with_defaults(version.input_schema, inputs),
        started_by=by,
        trigger_kind=trigger,
        trigger_id=trigger_id,
        priority=priority,
        labels=dict(labels or {}),
        parent_step_id=below.step if below is not None else None,
        depth=below.depth if below is not None else 0,
    )
    plan = plan_of_version(version.pk)
    return begin(run, plan, pins_of(plan))


def start_definition(
    *, version: DefinitionVersion, inputs: Mapping[str, Any], by: User | None, trigger: TriggerKind
) -> Run:
    """Start a one-step run of a definition's version. Raises Rejected (the inputs don't fit)."""
    graph = one_step(f"{version.definition.slug}@{version.number}")
    run = Run(
        definition=version.definition,
        graph=graph,
        inputs=with_defaults(version.input_schema, inputs),
        started_by=by,
        trigger_kind=trigger,
    )
    plan = compile_plan(Graph.model_validate(graph))
    return begin(run, plan, pins_of(plan))


def _row(step: PlannedStep, definition: Prepared | None, priority: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": step.n,
        "key": step.key,
        "priority": priority,
        "join_rule": step.join_rule,
        "deps": list(step.deps),
        "succ": list(step.succ),
        "reads": list(step.reads),
        "sink": step.sink,
        "queue_timeout": step.timeout.queue,
        "total_timeout": step.timeout.total,
        "fail_fast": step.fail_fast,
    }
    if definition is None:
        return row | {"kind": step.own_kind, "queue": CONTROL_QUEUE, "short": True, "on_lost": "retry"}
    safe = definition.kind.is_idempotent(definition.config)
    return row | {
        "kind": definition.kind.name,
        "queue": step.queue or definition.kind.queue,
        # A mapped step only makes its items.
        "short": definition.kind.is_short(definition.config),
        "on_lost": step.on_lost or ("retry" if safe else "fail"),
    }


@transaction.atomic
def begin(run: Run, plan: Plan, pins: Mapping[str, Pin], carried: Mapping[int, Carried] | None = None) -> Run:
    """Write a run that says what it is of, its steps and its first events.

    `carried`: ends that steps have from the beginning, by position; not all of them.
    """
    ends = carried or {}
    versions = {pin.version.pk: pin.version for pin in pins.values() if isinstance(pin.version, DefinitionVersion)}
    ready = {pk: prepared(version) for pk, version in versions.items()}
    rows = []
    for step in plan.steps:
        definition = ready[pins[step.key].version.pk] if step.definition is not None else None
        rows.append(_row(step, definition, run.priority) | _beginning(step, ends))
    run.pins = {key: pin.as_json() for key, pin in pins.items()}
    run.steps, run.open = len(rows), len(rows) - len(ends)
    run.events = 1 + sum(row["state"] != StepState.PENDING for row in rows)
    run.output_n = plan.output_n
    if plan.timeout is not None:
        run.deadline_at = Now() + timedelta(seconds=plan.timeout)  # by the database's clock
    if plan.limit is not None and run.workflow is not None:
        run.limit = slots.limit_for(plan.limit, run.workflow, run.inputs)
        run.save(force_insert=True)
        has_slot = slots.take(run, plan.limit, run.limit)
        transitions.start(run.pk, rows, held=not has_slot)
        return run
    run.save(force_insert=True)
    transitions.start(run.pk, rows)
    return run


def _beginning(step: PlannedStep, ends: Mapping[int, Carried]) -> dict[str, Any]:
    """Return the state that a step begins in, and what its join has counted by then."""
    end = ends.get(step.n)
    ok, skip = counts(step, ends) if ends else (0, 0)
    if end is not None:
        ref = f"step:{end.row}" if end.row is not None else None
        return {"state": end.state, "reason": end.reason, "source": end.row, "ref": ref, "ok": ok, "skip": skip}
    is_ready = not step.deps or verdict(step.join_rule, len(step.deps), ok, 0, skip) == "ready"
    return {"state": StepState.READY if is_ready else StepState.PENDING, "ok": ok, "skip": skip}


def refuse_labels(labels: Mapping[str, Any]) -> None:
    """Raise Rejected unless `labels` is {name: text} with short names and texts."""
    reject_if(
        Problem(f"labels.{name}"[:200], "invalid", "a label is a text of at most 200 characters")
        for name, value in labels.items()
        if not isinstance(value, str) or len(value) > 200 or len(name) > 63
    )
    if len(labels) > 32:
        raise Rejected("a run has at most 32 labels", attr="labels")
