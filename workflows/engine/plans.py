"""What a worker knows of a run beside its rows: plan, inputs, pinned definitions. None of it ever changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from definitions import kinds
from definitions.models import DefinitionVersion
from workflows.graph import Graph, Plan, PlannedStep, compile_plan
from workflows.models import Run, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pinned definition version: its kind and its config, ready to run."""

    pk: int
    slug: str
    number: int
    kind: kinds.Kind
    config: Any
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What every attempt of a run shares."""

    id: int
    uid: str
    inputs: Mapping[str, Any]
    labels: Mapping[str, str]
    trigger: str
    created_at: str
    plan: Plan
    by_key: Mapping[str, PlannedStep]
    pins: Mapping[str, int]
    children: Mapping[str, int]

    def definition(self, step: PlannedStep) -> Prepared:
        """Return the definition version that `step` was pinned to."""
        return prepare(self.pins[step.key])


@lru_cache(maxsize=1024)
def prepare(pk: int) -> Prepared:
    """Load a definition version. Cached: versions are immutable."""
    version = DefinitionVersion.objects.select_related("definition").get(pk=pk)
    return prepared(version)


def prepared(version: DefinitionVersion) -> Prepared:
    """Return `version` ready to run. Raises UnknownPlugin where its kind is not installed."""
    kind = kinds.get(version.definition.kind)
    return Prepared(
        pk=version.pk,
        slug=version.definition.slug,
        number=version.number,
        kind=kind,
        config=kind.Config.model_validate(version.config),
        input_schema=version.input_schema,
        output_schema=version.output_schema,
    )


@lru_cache(maxsize=256)
def plan_of_version(version_pk: int) -> Plan:
    """Return the plan of a stored workflow version. Cached: versions are immutable."""
    graph = WorkflowVersion.objects.values_list("graph", flat=True).get(pk=version_pk)
    return compile_plan(Graph.model_validate(graph))


@lru_cache(maxsize=512)
def load(run_id: int) -> RunInfo:
    """Return what the attempts of a run share. Cached: nothing in it changes after the start."""
    fields = ("id", "uid", "inputs", "labels", "trigger_kind", "created_at", "version_id", "graph", "pins")
    run = Run.objects.only(*fields).get(pk=run_id)
    plan = plan_of_version(run.version_id) if run.version_id else compile_plan(Graph.model_validate(run.graph))
    return RunInfo(
        id=run.pk,
        uid=str(run.uid),
        inputs=run.inputs,
        labels=run.labels,
        trigger=run.trigger_kind,
        created_at=run.created_at.isoformat(),
        plan=plan,
        by_key={step.key: step for step in plan.steps},
        pins={key: pin["version"] for key, pin in run.pins.items() if pin["version"] is not None},
        children={key: pin["workflow_version"] for key, pin in run.pins.items() if "workflow_version" in pin},
    )
