"""Starting a run: one transaction writes the run, its steps, its pins and its first events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from definitions.models import DefinitionVersion
from mcp_site.core.errors import Problem, Rejected, reject_if
from mcp_site.core.ids import Reference
from mcp_site.core.schemas import problems_of_value
from workflows.engine import transitions
from workflows.engine.plans import Prepared, plan_of_version, prepared
from workflows.errors import PartUnavailable
from workflows.graph import Graph, Plan, PlannedStep, compile_plan, one_step
from workflows.models import Run, TriggerKind, WorkflowVersion
from workflows.states import APPROVAL_KIND, CONTROL_KIND, CONTROL_QUEUE


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


def start_workflow(
    *,
    version: WorkflowVersion,
    inputs: Mapping[str, Any],
    by: User | None,
    trigger: TriggerKind,
    trigger_id: str = "",
    priority: int = 5,
    labels: Mapping[str, str] | None = None,
) -> Run:
    """Start a run of `version`, pinning what each step's reference means now.

    Raises Rejected (the inputs don't fit), PartUnavailable (a definition is archived or gone).
    """
    complete = with_defaults(version.input_schema, inputs)
    plan = plan_of_version(version.pk)
    run = Run(workflow=version.workflow, version=version, inputs=complete, trigger_id=trigger_id)
    return _start(run, plan, by=by, trigger=trigger, priority=priority, labels=labels or {})


def start_definition(
    *, version: DefinitionVersion, inputs: Mapping[str, Any], by: User | None, trigger: TriggerKind
) -> Run:
    """Start a one-step run of a definition's version. Raises Rejected (the inputs don't fit)."""
    complete = with_defaults(version.input_schema, inputs)
    graph = one_step(f"{version.definition.slug}@{version.number}")
    run = Run(definition=version.definition, graph=graph, inputs=complete)
    plan = compile_plan(Graph.model_validate(graph))
    return _start(run, plan, by=by, trigger=trigger, priority=5, labels={})


def _pins(plan: Plan) -> dict[str, tuple[Reference, DefinitionVersion]]:
    wanted = {step.key: Reference.parse(step.definition) for step in plan.steps if step.definition is not None}
    found = DefinitionVersion.objects.resolve(set(wanted.values()))
    gone = sorted({str(reference) for reference in wanted.values() if reference not in found})
    if gone:
        raise PartUnavailable(f"These parts are archived or gone: {', '.join(gone)}.")
    return {key: (reference, found[reference]) for key, reference in wanted.items()}


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
        kind = APPROVAL_KIND if step.approval is not None else CONTROL_KIND
        return row | {"kind": kind, "queue": CONTROL_QUEUE, "short": True, "on_lost": "retry"}
    safe = definition.kind.is_idempotent(definition.config)
    return row | {
        "kind": definition.kind.name,
        "queue": step.queue or definition.kind.queue,
        # A mapped step only makes its items.
        "short": definition.kind.is_short(definition.config),
        "on_lost": step.on_lost or ("retry" if safe else "fail"),
    }


@transaction.atomic
def _start(
    run: Run, plan: Plan, *, by: User | None, trigger: TriggerKind, priority: int, labels: Mapping[str, str]
) -> Run:
    pins = _pins(plan)
    ready: dict[int, Prepared] = {}
    for _, version in pins.values():
        if version.pk not in ready:
            ready[version.pk] = prepared(version)
    rows = [
        _row(step, ready[pins[step.key][1].pk] if step.definition is not None else None, priority)
        for step in plan.steps
    ]
    run.pins = {
        key: {"version": version.pk, "number": version.number, "alias": reference.alias}
        for key, (reference, version) in pins.items()
    }
    run.labels, run.priority, run.trigger_kind, run.started_by = dict(labels), priority, trigger, by
    run.steps = run.open = len(rows)
    run.events = 1 + sum(not step.deps for step in plan.steps)
    run.output_n = plan.output_n
    if plan.timeout is not None:
        run.deadline_at = Now() + timedelta(seconds=plan.timeout)  # by the database's clock
    run.save(force_insert=True)
    transitions.start(run.pk, rows)
    return run


def refuse_labels(labels: Mapping[str, Any]) -> None:
    """Raise Rejected unless `labels` is {name: text} with short names and texts."""
    reject_if(
        Problem(f"labels.{name}"[:200], "invalid", "a label is a text of at most 200 characters")
        for name, value in labels.items()
        if not isinstance(value, str) or len(value) > 200 or len(name) > 63
    )
    if len(labels) > 32:
        raise Rejected("a run has at most 32 labels", attr="labels")
