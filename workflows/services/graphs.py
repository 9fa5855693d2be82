"""What people do with workflows: make, save, roll back, name, archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, transaction

from accounts import access, audit
from accounts.models import Role, User
from connections.models import Connection
from definitions.models import DefinitionVersion
from mcp_site.core import clock, uses
from mcp_site.core.documents import canonical, load_yaml
from mcp_site.core.errors import Forbidden, NotFound, Problem, Rejected, reject_if
from mcp_site.core.ids import Reference
from workflows.graph import Facts, Part, check, people, references, workflows_called
from workflows.models import Workflow, WorkflowAlias, WorkflowVersion

MAX_GRAPH_BYTES = 1024 * 1024


def _gather(by: User, document: Any) -> Facts:
    """Read what exists and may be used by `by`, of what the document names. A few queries, whatever its size."""
    named, slugs = references(document)
    parsed = _parsed(named)
    found = DefinitionVersion.objects.resolve(set(parsed.values()))
    parts = {
        text: Part(found[reference].definition.kind, found[reference].input_schema)
        for text, reference in parsed.items()
        if reference in found and access.can(by, "definition.run", found[reference].definition)
    }
    connections = Connection.objects.visible_to(by).active().filter(slug__in=slugs) if slugs else ()
    usable = frozenset(one.slug for one in connections if access.can(by, "connection.use", one))
    named_people = people(document)
    known = User.objects.filter(is_active=True, email__in=named_people) if named_people else ()
    called = _parsed(workflows_called(document))
    versions = WorkflowVersion.objects.resolve(set(called.values()))
    workflows = {
        text: Part("workflow", versions[reference].input_schema)
        for text, reference in called.items()
        if reference in versions and access.can(by, "workflow.run", versions[reference].workflow)
    }
    return Facts(parts, usable, frozenset(one.email.lower() for one in known), workflows)


def _parsed(texts: Iterable[str]) -> dict[str, Reference]:
    """Return the references among `texts`; what is none is named by the check."""
    parsed = {}
    for text in texts:
        try:
            parsed[text] = Reference.parse(text)
        except ValueError:
            continue
    return parsed


def read_graph(graph: Any) -> Any:
    """Return the document that `graph` holds: an object as it is, or the content of a YAML text."""
    return load_yaml(graph) if isinstance(graph, str) else graph


def problems_of_graph(*, by: User, graph: Any) -> list[Problem]:
    """Return everything that is wrong with a graph (an object, or a YAML text), for `by` to save it."""
    access.require(by, "workflow.create")
    try:
        document = read_graph(graph)
    except Rejected as exc:
        return list(exc.problems)
    return check(document, _gather(by, document))[1]


@transaction.atomic
def create_workflow(
    *,
    by: User,
    slug: str,
    name: str,
    description: str = "",
    tags: Sequence[str] = (),
    visibility: str | None = None,
    graph: Any = None,
    note: str = "",
) -> Workflow:
    """Make a workflow, with its first version if a graph is given. Raises Rejected, Forbidden."""
    access.require(by, "workflow.create")
    workflow = Workflow(slug=slug, name=name, description=description, tags=list(tags), owner=by)
    if visibility is not None:
        workflow.visibility = visibility
    try:
        with transaction.atomic():
            workflow.save(force_insert=True)
    except IntegrityError as exc:
        raise Rejected("there is something with this slug already", attr="slug", code="unique") from exc
    audit.log(
        by, "workflow.create", workflow, changes={"name": [None, name], "visibility": [None, workflow.visibility]}
    )
    if graph is not None:
        save_version(by=by, workflow=workflow, graph=graph, note=note)
        workflow.refresh_from_db()
    return workflow


@transaction.atomic
def save_version(*, by: User, workflow: Workflow, graph: Any, note: str = "") -> tuple[WorkflowVersion, bool]:
    """Save a graph (an object, or a YAML text) as the next version; identical to the newest = that one, False.

    Raises Rejected with every problem, paths under `graph`.
    """
    access.require(by, "workflow.edit", workflow)
    try:
        document = read_graph(graph)
    except Rejected as exc:
        raise Rejected([problem.under("graph") for problem in exc.problems]) from exc
    reject_if(problem.under("graph") for problem in check(document, _gather(by, document))[1])
    content = canonical(document)
    if len(content) > MAX_GRAPH_BYTES:
        raise Rejected(f"a graph has at most {MAX_GRAPH_BYTES} bytes", attr="graph", code="too_large")
    return _next_version(by, workflow, document, sha256(content).hexdigest(), note)


def _next_version(
    by: User, workflow: Workflow, document: Mapping[str, Any], digest: str, note: str
) -> tuple[WorkflowVersion, bool]:
    locked = Workflow.objects.select_for_update().get(pk=workflow.pk)
    newest = locked.versions.filter(number=locked.latest_number).first()
    if newest is not None and newest.digest == digest:
        return newest, False
    locked.latest_number += 1
    locked.save(update_fields=["latest_number", "updated_at"])
    workflow.latest_number = locked.latest_number
    version = WorkflowVersion.objects.create(
        workflow=locked, number=locked.latest_number, graph=document, digest=digest, note=note, created_by=by
    )
    changes = {"number": [version.number - 1 or None, version.number], "note": [None, note]}
    audit.log(by, "workflow.version", workflow, changes=changes)
    return version, True


@transaction.atomic
def rollback(*, by: User, workflow: Workflow, to: int) -> tuple[WorkflowVersion, bool]:
    """Make the content of version `to` the newest version."""
    access.require(by, "workflow.edit", workflow)
    old = get_version(workflow, str(to), attr="to")
    return _next_version(by, workflow, old.graph, old.digest, f"Rolled back to version {to}")


@transaction.atomic
def update_workflow(*, by: User, workflow: Workflow, **changes: Any) -> Workflow:
    """Change name, description, tags or visibility."""
    access.require(by, "workflow.edit", workflow)
    before = {field: getattr(workflow, field) for field in changes}
    for field, value in changes.items():
        setattr(workflow, field, value)
    workflow.save(update_fields=[*changes, "updated_at"])
    audit.log(by, "workflow.update", workflow, changes=audit.diff(before, changes))
    return workflow


@transaction.atomic
def archive_workflow(*, by: User, workflow: Workflow, force: bool = False) -> None:
    """Archive a workflow: it stays readable, and starts no runs. Raises InUse (an Admin may `force`), Forbidden."""
    access.require(by, "workflow.edit", workflow)
    if force and by.role != Role.ADMIN:
        raise Forbidden("Only an Admin may archive a workflow that is in use.")
    uses.refuse_if_used("workflow", workflow.pk, by=by, force=force)
    workflow.archived_at = clock.now()
    workflow.save(update_fields=["archived_at", "updated_at"])
    audit.log(by, "workflow.archive", workflow)


@transaction.atomic
def move_alias(*, by: User, workflow: Workflow, name: str, number: int) -> WorkflowAlias:
    """Point the alias `name` at version `number`."""
    access.require(by, "workflow.edit", workflow)
    version = get_version(workflow, str(number), attr="version")
    before = WorkflowAlias.objects.filter(workflow=workflow, name=name).select_related("version").first()
    alias, _ = WorkflowAlias.objects.update_or_create(
        workflow=workflow, name=name, defaults={"version": version, "moved_by": by}
    )
    changes = {name: [before.version.number if before else None, number]}
    audit.log(by, "workflow.move_alias", workflow, changes=changes)
    return alias


@transaction.atomic
def delete_alias(*, by: User, workflow: Workflow, name: str) -> None:
    """Remove the alias `name`. Raises NotFound."""
    access.require(by, "workflow.edit", workflow)
    alias = WorkflowAlias.objects.filter(workflow=workflow, name=name).select_related("version").first()
    if alias is None:
        raise NotFound
    audit.log(by, "workflow.delete_alias", workflow, changes={name: [alias.version.number, None]})
    alias.delete()


def get_version(workflow: Workflow, named: str, *, attr: str) -> WorkflowVersion:
    """Return the version that a number or an alias (text) names. Raises Rejected at `attr`."""
    if named.isascii() and named.isdecimal() and len(named) < 10:
        version = workflow.versions.filter(number=int(named)).first()
    else:
        version = workflow.versions.filter(aliases__name=named, aliases__workflow=workflow).first()
    if version is None:
        raise Rejected("there is no such version or alias", attr=attr, code="unknown_version")
    return version
