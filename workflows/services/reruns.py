"""Running a run again: what is taken over is shown before it starts, and referenced, never copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core.errors import Conflict, Rejected
from workflows.engine import start
from workflows.engine.pins import Pin, pinned_key, pins_of, pins_of_run
from workflows.engine.plans import plan_of_version
from workflows.errors import NothingToRun
from workflows.graph import Graph, Plan, compile_plan, one_step
from workflows.graph.reruns import FAILED, START, Choice, Past, choose
from workflows.models import Run, StepRun, TriggerKind, WorkflowVersion
from workflows.states import CONTROL_KEY, HANDLER_KEY

Versions = Literal["same", "newest"]


@dataclass(frozen=True, slots=True)
class Rerun:
    """A rerun that could start: of which version, with which inputs and pins, and what becomes of each step."""

    of: Run
    version: WorkflowVersion | None
    graph: dict[str, Any]
    plan: Plan
    pins: Mapping[str, Pin]
    inputs: Mapping[str, Any]
    choices: list[Choice]

    @property
    def shown(self) -> list[Choice]:
        """Return the steps that people know of."""
        return [choice for choice in self.choices if choice.step.key != CONTROL_KEY]

    def version_of(self, choice: Choice) -> str:
        """Return the definition and version that a step is pinned to, or what else it does."""
        pin = self.pins.get(choice.step.key)
        return f"{pin.slug}@{pin.version.number}" if pin is not None else "approval"


def preview_rerun(
    *, run: Run, by: User, start: str, inputs: Mapping[str, Any] | None = None, versions: Versions = "same"
) -> Rerun:
    """Return what a rerun would do, without starting it.

    `start`: `start`, `failed`, or a step's key. Raises Forbidden, Conflict (it goes on, it is archived, there is
    nothing to run again), PartUnavailable, Rejected (`from`, paths under `inputs`).
    """
    access.require(by, "workflow.run" if run.workflow_id else "definition.run", run.subject)
    if not run.is_terminal:
        raise Conflict("This run has not ended yet.", code="run_not_ended")
    if run.subject is None or run.subject.archived_at is not None:
        raise Conflict("What this run is of is archived; nothing runs it any more.", code="archived")
    version, graph, plan = _plan(run, versions)
    if start not in (START, FAILED) and start not in {step.key for step in plan.steps} - {CONTROL_KEY, HANDLER_KEY}:
        raise Rejected("`start`, `failed`, or the key of a step", attr="from", code="unknown_step")
    pins = pins_of_run(run, plan) if versions == "same" else pins_of(plan)
    complete = _complete(version, pins, run.inputs if inputs is None else inputs)
    choices = choose(
        plan,
        _past(run),
        start=start,
        written=_written(graph),
        pinned={key: pinned_key(pin.as_json()) for key, pin in pins.items()},
        changed=frozenset(name for name in {*run.inputs, *complete} if run.inputs.get(name) != complete.get(name)),
    )
    if not any(choice.carried is None and choice.step.key != HANDLER_KEY for choice in choices):
        raise Conflict("Every step has succeeded; there is nothing to run again.", code="nothing_to_rerun")
    return Rerun(run, version, graph, plan, pins, complete, choices)


@transaction.atomic
def rerun_run(
    *,
    run: Run,
    by: User,
    start: str,
    inputs: Mapping[str, Any] | None = None,
    versions: Versions = "same",
) -> Run:
    """Start a run again, from its start, from what failed, or from a step. Raises as `preview_rerun` does."""
    rerun = preview_rerun(run=run, by=by, start=start, inputs=inputs, versions=versions)
    return _begin(rerun, by, start)


def _begin(rerun: Rerun, by: User, named: str) -> Run:
    of = rerun.of
    made = Run(
        workflow=of.workflow,
        version=rerun.version,
        definition=of.definition,
        graph=None if rerun.version is not None else rerun.graph,
        inputs=dict(rerun.inputs),
        labels=of.labels,
        priority=of.priority,
        started_by=by,
        trigger_kind=TriggerKind.RERUN,
        trigger_id=str(of.uid),
        rerun_of=of,
    )
    carried = {choice.step.n: choice.carried for choice in rerun.choices if choice.carried is not None}
    start.begin(made, rerun.plan, rerun.pins, carried)
    audit.log(by, "run.rerun", made, name=f"#{made.pk}", changes={"of": [None, of.pk], "from": [None, named]})
    return made


def _plan(run: Run, versions: Versions) -> tuple[WorkflowVersion | None, dict[str, Any], Plan]:
    if run.definition is not None:
        number = run.definition.latest_number if versions == "newest" else next(iter(run.pins.values()))["number"]
        graph = one_step(f"{run.definition.slug}@{number}")
        return None, graph, compile_plan(Graph.model_validate(graph))
    version = run.version
    if versions == "newest" and run.workflow is not None:
        version = run.workflow.versions.filter(number=run.workflow.latest_number).first()
    if version is None:
        raise NothingToRun
    return version, version.graph, plan_of_version(version.pk)


def _complete(version: WorkflowVersion | None, pins: Mapping[str, Pin], inputs: Mapping[str, Any]) -> dict[str, Any]:
    schema = version.input_schema if version is not None else next(iter(pins.values())).version.input_schema
    return start.with_defaults(schema, inputs)


def _written(graph: Mapping[str, Any]) -> dict[str, Any]:
    return {step["key"]: step for step in graph.get("steps", [])} | {CONTROL_KEY: graph.get("output")}


def _past(run: Run) -> dict[str, Past]:
    written = _written(run.document())
    rows = StepRun.objects.filter(run=run, index__isnull=True).only("key", "state", "reason", "source_id")
    return {
        row.key: Past(
            state=row.state,
            reason=row.reason,
            written=written.get(row.key),
            pinned=pinned_key(run.pins[row.key]) if row.key in run.pins else None,
            # Of a result that was taken over itself, the row where it came from.
            row=row.source_id or row.pk,
        )
        for row in rows
    }
