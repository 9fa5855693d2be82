"""Which workflows use a definition or a connection: those whose newest version names it; what starts a workflow."""

from __future__ import annotations

from typing import Any

from django.db.models import F

from connections.models import Connection
from definitions.models import Definition
from mcp_site.core.ids import Reference
from mcp_site.core.uses import Found, Use
from workflows.graph import references
from workflows.models import Schedule, Trigger, Workflow, WorkflowVersion


def _found(matching: list[Workflow], by: Any) -> Found:
    seen = set(Workflow.objects.visible_to(by).filter(pk__in=[w.pk for w in matching]).values_list("pk", flat=True))
    uses = tuple(Use("workflow", w.slug, w.name, w.get_absolute_url()) for w in matching if w.pk in seen)
    return Found(uses, len(matching) - len(uses))


def _newest() -> list[WorkflowVersion]:
    newest = WorkflowVersion.objects.filter(number=F("workflow__latest_number"), workflow__archived_at__isnull=True)
    return list(newest.select_related("workflow"))


def _slug(text: str) -> str:
    try:
        return Reference.parse(text).slug
    except ValueError:
        return ""


def workflows_using_definition(pk: int, by: Any) -> Found:
    """Return the workflows whose newest version has a step of that definition."""
    slug = Definition.objects.values_list("slug", flat=True).get(pk=pk)
    matching = [v.workflow for v in _newest() if slug in {_slug(text) for text in references(v.graph)[0]}]
    return _found(matching, by)


def workflows_using_connection(pk: int, by: Any) -> Found:
    """Return the workflows whose newest version names that connection at a step."""
    slug = Connection.objects.values_list("slug", flat=True).get(pk=pk)
    return _found([v.workflow for v in _newest() if slug in references(v.graph)[1]], by)


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
