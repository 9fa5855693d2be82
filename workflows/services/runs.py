"""Starting runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from definitions.models import Definition, DefinitionVersion
from mcp_site.core.errors import Conflict, Rejected
from mcp_site.core.ids import Reference
from workflows.engine import start
from workflows.errors import NothingToRun
from workflows.models import Run, TriggerKind, Workflow
from workflows.services.graphs import get_version


@transaction.atomic
def start_run(
    *,
    workflow: Workflow,
    inputs: Mapping[str, Any],
    by: User,
    version: str | int | None = None,
    trigger: TriggerKind = TriggerKind.API,
    trigger_id: str = "",
    priority: int = 5,
    labels: Mapping[str, str] | None = None,
) -> Run:
    """Start a run of a workflow: of its newest version, or of the one that a number or alias names.

    Raises Forbidden, NothingToRun, PartUnavailable, Rejected (paths under `inputs`, `labels`, `version`).
    """
    access.require(by, "workflow.run", workflow)
    if workflow.archived_at is not None:
        raise Conflict("This workflow is archived; nothing runs it any more.", code="archived")
    if version is None and not workflow.latest_number:
        raise NothingToRun
    chosen = get_version(workflow, str(workflow.latest_number if version is None else version), attr="version")
    start.refuse_labels(labels or {})
    run = start.start_workflow(
        version=chosen,
        inputs=inputs,
        by=by,
        trigger=trigger,
        trigger_id=trigger_id,
        priority=priority,
        labels=labels or {},
    )
    audit.log(by, "run.start", run, name=f"{workflow.slug} #{run.pk}", changes={"version": [None, chosen.number]})
    return run


@transaction.atomic
def start_definition_run(
    *,
    definition: Definition,
    inputs: Mapping[str, Any],
    by: User,
    version: str | int | None = None,
    trigger: TriggerKind = TriggerKind.API,
) -> Run:
    """Start a one-step run of a definition. Raises as `start_run` does."""
    access.require(by, "definition.run", definition)
    if definition.archived_at is not None:
        raise Conflict("This definition is archived; nothing runs it any more.", code="archived")
    if version is None and not definition.latest_number:
        raise NothingToRun
    wanted = str(definition.latest_number if version is None else version)
    try:
        reference = Reference.parse(f"{definition.slug}@{wanted}")
    except ValueError as exc:
        raise Rejected("there is no such version or alias", attr="version", code="unknown_version") from exc
    chosen = DefinitionVersion.objects.resolve([reference]).get(reference)
    if chosen is None:
        raise Rejected("there is no such version or alias", attr="version", code="unknown_version")
    run = start.start_definition(version=chosen, inputs=inputs, by=by, trigger=trigger)
    audit.log(by, "run.start", run, name=f"{definition.slug} #{run.pk}", changes={"version": [None, chosen.number]})
    return run
