"""Which workflows use a definition or a connection: those whose newest version names it; what starts a workflow."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from connections.models import Connection
from definitions.models import Definition, DefinitionVersion
from definitions.usage import reads_of_version
from mcp_site.core.ids import Reference
from mcp_site.core.uses import Found, Reading, Use
from workflows.graph import references, workflows_called
from workflows.models import Schedule, Trigger, Workflow, WorkflowVersion


def _found(matching: list[Workflow], by: Any) -> Found:
    seen = set(Workflow.objects.visible_to(by).filter(pk__in=[w.pk for w in matching]).values_list("pk", flat=True))
    uses = tuple(Use("workflow", w.slug, w.name, w.get_absolute_url()) for w in matching if w.pk in seen)
    return Found(uses, len(matching) - len(uses))


def _newest() -> list[WorkflowVersion]:
    newest = WorkflowVersion.objects.filter(number=F("workflow__latest_number"), workflow__archived_at__isnull=True)
    return list(newest.select_related("workflow"))


def _slug(text: str) -> str:
    reference = _reference(text)
    return reference.slug if reference is not None else ""


def workflows_using_definition(pk: int, by: Any) -> Found:
    """Return the workflows whose newest version has a step of that definition."""
    slug = Definition.objects.values_list("slug", flat=True).get(pk=pk)
    matching = [v.workflow for v in _newest() if slug in {_slug(text) for text in references(v.graph)[0]}]
    return _found(matching, by)


def workflows_using_connection(pk: int, by: Any) -> Found:
    """Return the workflows whose newest version names that connection at a step."""
    slug = Connection.objects.values_list("slug", flat=True).get(pk=pk)
    return _found([v.workflow for v in _newest() if slug in references(v.graph)[1]], by)


def workflows_calling_workflow(pk: int, by: Any) -> Found:
    """Return the other workflows whose newest version calls that workflow as a step."""
    slug = Workflow.objects.values_list("slug", flat=True).get(pk=pk)
    calling = [v.workflow for v in _newest() if slug in {_slug(text) for text in workflows_called(v.graph)}]
    return _found([workflow for workflow in calling if workflow.pk != pk], by)


def _starters(word: str, rows: Any, by: Any) -> Found:
    seen = rows.visible_to(by)
    uses = tuple(Use(word, str(row), str(row), row.get_absolute_url()) for row in seen)
    return Found(uses, rows.count() - len(uses))


def schedules_of_workflow(pk: int, by: Any) -> Found:
    """Return the schedules that start a workflow. Who may see it may see them."""
    return _starters("schedule", Schedule.objects.filter(workflow_id=pk, enabled=True), by)


def triggers_of_workflow(pk: int, by: Any) -> Found:
    """Return the triggers that start a workflow. Who may see it may see them."""
    return _starters("trigger", Trigger.objects.filter(workflow_id=pk, enabled=True), by)


def readings_of_connection(pk: int, by: Any) -> list[Reading]:
    """Return what the steps of live workflows read of a connection by SQL, and the schedules that start them."""
    connection = Connection.objects.only("slug", "type").get(pk=pk)
    newest = _newest()
    parts = _sql_parts(newest)
    found: list[Reading] = []
    for version in newest:
        workflow = version.workflow
        seen = Workflow.objects.visible_to(by).filter(pk=workflow.pk)
        for key, reference, named in _steps(version.graph):
            part = parts.get(reference)
            if part is None or (part.config.get("connection") or named) != connection.slug:
                continue
            reads = reads_of_version(part, connection.type)
            is_seen = bool(reads) and seen.exists()
            use = Use("workflow", workflow.slug, workflow.name, workflow.get_absolute_url()) if is_seen else None
            found.append(Reading(use, reads, f"step {key}"))
            found += [
                Reading(
                    Use("schedule", str(row), str(row), row.get_absolute_url()) if is_seen else None,
                    reads,
                    f"step {key}",
                )
                for row in Schedule.objects.filter(workflow=workflow, enabled=True)
            ]
    return [reading for reading in found if reading.reads]


def _sql_parts(versions: list[WorkflowVersion]) -> dict[str, DefinitionVersion]:
    """Return the definition's version of each reference in these graphs, as it resolves now."""
    texts = {text for version in versions for _, text, _ in _steps(version.graph)}
    parsed = {text: reference for text in texts if (reference := _reference(text)) is not None}
    resolved = DefinitionVersion.objects.resolve(parsed.values())
    return {text: resolved[reference] for text, reference in parsed.items() if reference in resolved}


def _steps(document: Any) -> list[tuple[str, str, str]]:
    """Return key, definition and connection of the steps of a document that name a definition."""
    steps = document.get("steps", []) if isinstance(document, dict) else []
    return [
        (str(step.get("key", "")), step["definition"], str(step.get("connection") or ""))
        for step in steps
        if isinstance(step, dict) and isinstance(step.get("definition"), str)
    ]


def _reference(text: str) -> Reference | None:
    try:
        return Reference.parse(text)
    except ValueError:
        return None
