"""Any thing of the panel with what it is related to and what was done with it lately, for one person."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import AuditEvent, User
from connections.models import Connection
from definitions.models import Definition, DefinitionVersion
from mcp_site.core import uses
from mcp_site.core.errors import NotFound
from mcp_site.core.ids import Reference
from workflows.graph import references
from workflows.models import Run, Workflow, WorkflowVersion

MAX_RELATED, MAX_ACTS = 50, 20
_SLUG = re.compile("[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Related:
    """A thing and what it is to the one at hand: `version`, `of`, `uses`, `used_by`, `run`, `rerun_of`, `rerun`."""

    type: str
    id: UUID
    relationship: str
    name: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing: its type, its row, what it is related to (as far as the person may see), and its latest audited acts."""

    type: str
    row: Any
    related: tuple[Related, ...]
    activity: tuple[AuditEvent, ...]


def find(type: str, id: str, person: User) -> Entity:
    """Return the thing called `id` (its id, or its slug where it has one). Raises NotFound for what can't be seen."""
    if type not in _TYPES:
        raise NotFound
    doors, related = _TYPES[type]
    row = doors(person).filter(_called(type, id)).first()
    if row is None:
        raise NotFound
    found = tuple(related(row, person))[:MAX_RELATED]
    return Entity(type, row, found, _activity(row))


def _called(type: str, id: str) -> Q:
    try:
        return Q(uid=UUID(id))
    except ValueError:
        if type in ("run", "version", "workflow-version") or not _SLUG.fullmatch(id):
            raise NotFound from None
        return Q(slug=id)


def _activity(row: Any) -> tuple[AuditEvent, ...]:
    name = row._meta.model_name  # noqa: SLF001  Django's public-by-convention Meta
    acts = AuditEvent.objects.filter(object_type=name, object_id=str(row.uid))
    return tuple(acts.select_related("actor").order_by("-id")[:MAX_ACTS])


def _definitions(person: User) -> QuerySet[Any]:
    return Definition.objects.visible_to(person).for_api()


def _versions(person: User) -> QuerySet[Any]:
    visible = Definition.objects.visible_to(person).values("pk")
    return DefinitionVersion.objects.filter(definition__in=visible).select_related("definition", "created_by")


def _workflows(person: User) -> QuerySet[Any]:
    return Workflow.objects.visible_to(person).for_api()


def _workflow_versions(person: User) -> QuerySet[Any]:
    visible = Workflow.objects.visible_to(person).values("pk")
    return WorkflowVersion.objects.filter(workflow__in=visible).select_related("workflow", "created_by")


def _runs(person: User) -> QuerySet[Any]:
    return Run.objects.visible_to(person).for_api()


def _connections(person: User) -> QuerySet[Any]:
    return Connection.objects.visible_to(person).for_api()


def _of_definition(row: Definition, person: User) -> Iterator[Related]:
    for version in row.versions.order_by("-number")[:MAX_ACTS]:
        yield Related("version", version.uid, "version", f"{row.slug}@{version.number}")
    yield from _users("definition", row.pk, person)
    yield from _latest_runs(Run.objects.visible_to(person).filter(definition=row))


def _of_version(row: DefinitionVersion, person: User) -> Iterator[Related]:
    yield Related("definition", row.definition.uid, "of", row.definition.slug)


def _of_workflow(row: Workflow, person: User) -> Iterator[Related]:
    for version in row.versions.order_by("-number")[:MAX_ACTS]:
        yield Related("workflow-version", version.uid, "version", f"{row.slug}@{version.number}")
    newest = row.versions.order_by("-number").first()
    if newest is not None:
        yield from _parts(newest.graph, person)
    yield from _latest_runs(Run.objects.visible_to(person).filter(workflow=row))


def _of_workflow_version(row: WorkflowVersion, person: User) -> Iterator[Related]:
    yield Related("workflow", row.workflow.uid, "of", row.workflow.slug)
    yield from _parts(row.graph, person)
    yield from _latest_runs(Run.objects.visible_to(person).filter(version=row))


def _of_run(row: Run, person: User) -> Iterator[Related]:
    # Who may see a run because he started it may not see what was run any more.
    if row.workflow_id and Workflow.objects.visible_to(person).filter(pk=row.workflow_id).exists():
        yield from _named("workflow", Workflow.objects.filter(pk=row.workflow_id), "of")
    if row.definition_id and Definition.objects.visible_to(person).filter(pk=row.definition_id).exists():
        yield from _named("definition", Definition.objects.filter(pk=row.definition_id), "of")
    pinned = {pin["version"] for pin in Run.objects.values_list("pins", flat=True).get(pk=row.pk).values()}
    for version in _versions(person).filter(pk__in=pinned).order_by("definition__slug", "number"):
        yield Related("version", version.uid, "uses", str(version))
    others = Run.objects.visible_to(person)
    if row.rerun_of_id:
        yield from _latest_runs(others.filter(pk=row.rerun_of_id), "rerun_of")
    yield from _latest_runs(others.filter(rerun_of=row), "rerun")


def _of_connection(row: Connection, person: User) -> Iterator[Related]:
    yield from _users("connection", row.pk, person)


def _users(type: str, pk: int, person: User) -> Iterator[Related]:
    slugs = [use.slug for use in uses.find(type, pk, by=person).visible if use.type == "workflow"]
    yield from _named("workflow", Workflow.objects.filter(slug__in=slugs), "used_by")


def _parts(graph: Any, person: User) -> Iterator[Related]:
    named, connections = references(graph)
    definitions = Definition.objects.visible_to(person).filter(slug__in=set(_slugs(named)))
    yield from _named("definition", definitions, "uses")
    yield from _named("connection", Connection.objects.visible_to(person).filter(slug__in=connections), "uses")


def _slugs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        try:
            yield Reference.parse(text).slug
        except ValueError:
            # An expression, or a draft that names nothing yet.
            continue


def _named(type: str, rows: QuerySet[Any], relationship: str) -> Iterator[Related]:
    for uid, slug in rows.order_by("slug").values_list("uid", "slug"):
        yield Related(type, uid, relationship, slug)


def _latest_runs(runs: QuerySet[Any], relationship: str = "run") -> Iterator[Related]:
    for uid, number in runs.order_by("-pk").values_list("uid", "pk")[:10]:
        yield Related("run", uid, relationship, f"#{number}")


_Doors = Callable[[User], QuerySet[Any]]
_Relations = Callable[[Any, User], Iterator[Related]]
_TYPES: dict[str, tuple[_Doors, _Relations]] = {
    "definition": (_definitions, _of_definition),
    "version": (_versions, _of_version),
    "workflow": (_workflows, _of_workflow),
    "workflow-version": (_workflow_versions, _of_workflow_version),
    "run": (_runs, _of_run),
    "connection": (_connections, _of_connection),
}
