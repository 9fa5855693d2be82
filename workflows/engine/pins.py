"""Pins: what each reference of a graph means for a whole run, taken when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from definitions.models import DefinitionVersion
from mcp_site.core.ids import Reference
from workflows.errors import PartUnavailable
from workflows.graph import Plan
from workflows.models import Run, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Pin:
    """The version of a definition or of a workflow that a step carries out, and the alias by which it was named."""

    version: DefinitionVersion | WorkflowVersion
    alias: str | None

    @property
    def slug(self) -> str:
        """Return the slug of the definition or workflow."""
        version = self.version
        return version.definition.slug if isinstance(version, DefinitionVersion) else version.workflow.slug

    @property
    def is_archived(self) -> bool:
        """Tell whether nothing may run it any more."""
        version = self.version
        named = version.definition if isinstance(version, DefinitionVersion) else version.workflow
        return named.archived_at is not None

    def as_json(self) -> dict[str, Any]:
        """Return what stands in the run's row."""
        of_definition = isinstance(self.version, DefinitionVersion)
        keys = {"version": self.version.pk} if of_definition else {"version": None, "workflow_version": self.version.pk}
        return {**keys, "number": self.version.number, "alias": self.alias}


def pinned_key(pin: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what makes two pins in rows the same."""
    return pin.get("version"), pin.get("workflow_version")


def pins_of(plan: Plan) -> dict[str, Pin]:
    """Return what each step's reference means now. Raises PartUnavailable, naming all that is archived or gone."""
    definitions = {step.key: Reference.parse(step.definition) for step in plan.steps if step.definition is not None}
    workflows = {step.key: Reference.parse(step.workflow) for step in plan.steps if step.workflow is not None}
    versions = DefinitionVersion.objects.resolve(set(definitions.values()))
    children = WorkflowVersion.objects.resolve(set(workflows.values()))
    gone = {str(one) for one in definitions.values() if one not in versions}
    gone |= {str(one) for one in workflows.values() if one not in children}
    _refuse(gone)
    found = {key: Pin(versions[one], one.alias) for key, one in definitions.items()}
    return found | {key: Pin(children[one], one.alias) for key, one in workflows.items()}


def pins_of_run(run: Run, plan: Plan) -> dict[str, Pin]:
    """Return the versions that `run` was pinned to. Raises PartUnavailable, naming what is archived since."""
    kept = {key: pin for key, pin in run.pins.items() if key in {step.key for step in plan.steps}}
    definitions = DefinitionVersion.objects.select_related("definition").in_bulk(
        [pin["version"] for pin in kept.values() if pin["version"] is not None]
    )
    children = WorkflowVersion.objects.select_related("workflow").in_bulk(
        [pin["workflow_version"] for pin in kept.values() if pin["version"] is None]
    )
    found: dict[str, Pin] = {}
    for key, pin in kept.items():
        own = pin["version"]
        version = definitions[own] if own is not None else children[pin["workflow_version"]]
        found[key] = Pin(version, pin["alias"])
    _refuse({pin.slug for pin in found.values() if pin.is_archived})
    return found


def _refuse(gone: set[str]) -> None:
    if gone:
        raise PartUnavailable(f"These parts are archived or gone: {', '.join(sorted(gone))}.")
