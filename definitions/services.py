"""What people do with definitions: make, save versions, archive, point aliases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, transaction

from accounts import access, audit
from accounts.models import Role, User
from connections.models import Connection
from definitions import gates, kinds
from definitions.models import Alias, AliasMove, Definition, DefinitionVersion
from mcp_site.core import clock, uses
from mcp_site.core.documents import canonical, load_json
from mcp_site.core.errors import Conflict, Forbidden, NotFound, Problem, Rejected, reject_if
from mcp_site.core.registry import UnknownPlugin
from mcp_site.core.schemas import problems_of_schema

MAX_CONTENT_BYTES = 2 * 1024 * 1024
Schema = dict[str, Any] | None


class Archived(Conflict):
    """The definition is archived: it can be looked at, not run or changed."""

    code = "archived"


def kind_of(name: str) -> kinds.Kind:
    """Return the kind called `name`. Raises Rejected at `kind`."""
    try:
        return kinds.get(name)
    except UnknownPlugin as exc:
        detail = f"there is no such kind; known are {', '.join(kinds.KINDS)}"
        raise Rejected(detail, attr="kind", code="unknown_kind") from exc


@transaction.atomic
def create_definition(
    *,
    by: User,
    slug: str,
    name: str,
    kind: str,
    description: str = "",
    tags: Sequence[str] = (),
    visibility: str | None = None,
    config: Mapping[str, Any] | None = None,
    input_schema: Schema = None,
    output_schema: Schema = None,
    note: str = "",
) -> Definition:
    """Make a definition that `by` owns, with its first version if a config is given. Raises Rejected, Forbidden."""
    access.require(by, "definition.create")
    kind_of(kind)
    definition = Definition(slug=slug, name=name, kind=kind, description=description, tags=list(tags), owner=by)
    definition.visibility = visibility or definition.visibility
    given = {"name": name, "description": description, "tags": definition.tags, "visibility": definition.visibility}
    reject_if(gates.reasons_against(given | {"slug": slug}))
    try:
        with transaction.atomic():
            definition.save(force_insert=True)
    except IntegrityError as exc:
        raise Rejected("a definition of this slug exists", attr="slug", code="unique") from exc
    changes = {"kind": [None, kind], "name": [None, name], "visibility": [None, definition.visibility]}
    audit.log(by, "definition.create", definition, changes=changes)
    if config is not None:
        save_version(
            by=by,
            definition=definition,
            config=config,
            input_schema=input_schema,
            output_schema=output_schema,
            note=note,
        )
        definition.refresh_from_db()
    return definition


@transaction.atomic
def save_version(
    *,
    by: User,
    definition: Definition,
    config: Mapping[str, Any],
    input_schema: Schema = None,
    output_schema: Schema = None,
    note: str = "",
) -> tuple[DefinitionVersion, bool]:
    """Save a config as the next version; identical to the newest = that one, and False.

    Schemas that are not given are read off the config where the kind can. Locks the definition's row.
    Raises Rejected with every problem (paths under `config`, `input_schema`, `output_schema`), Forbidden, Archived.
    """
    locked = _lock(by, definition)
    given = _clean({"config": dict(config), "input_schema": input_schema, "output_schema": output_schema})
    kind = kind_of(locked.kind)
    typed = kinds.read_config(kind, given["config"])
    problems = [problem.under("config") for problem in kind.problems(typed)]
    problems += _connection_problems(by, kind, typed)
    for field in ("input_schema", "output_schema"):
        if given[field] is not None:
            problems += [problem.under(field) for problem in problems_of_schema(given[field])]
    reject_if(problems)
    # Every default is written out, so that a later change of a default changes no version.
    given["config"] = typed.model_dump(mode="json")
    inferred = kind.infer(typed)
    if given["input_schema"] is None:
        given["input_schema"] = inferred.input_schema
    if given["output_schema"] is None:
        given["output_schema"] = inferred.output_schema
    return _next_version(by, definition, locked, given, note)


@transaction.atomic
def rollback(*, by: User, definition: Definition, to: int) -> tuple[DefinitionVersion, bool]:
    """Make the content of version `to` the newest one. Raises Rejected, Forbidden, Archived as `save_version`."""
    locked = _lock(by, definition)
    old = get_version(locked, to, attr="to")
    kind = kind_of(locked.kind)
    reject_if(_connection_problems(by, kind, kinds.read_config(kind, old.config)))
    return _next_version(by, definition, locked, old.content, f"Rolled back to version {to}")


@transaction.atomic
def update_definition(
    *,
    by: User,
    definition: Definition,
    name: str | None = None,
    description: str | None = None,
    tags: Sequence[str] | None = None,
    visibility: str | None = None,
) -> Definition:
    """Change what is given, and return the row as it is now. Raises Rejected, Forbidden, Archived."""
    locked = _lock(by, definition)
    given = {"name": name, "description": description, "tags": tags, "visibility": visibility}
    after = {field: value for field, value in given.items() if value is not None}
    reject_if(gates.reasons_against(after))
    changes = audit.diff({field: getattr(locked, field) for field in after}, after)
    if changes:
        for field, value in after.items():
            setattr(locked, field, value)
        locked.save(update_fields=[*after, "updated_at"])
        audit.log(by, "definition.update", locked, changes=changes)
    return locked


@transaction.atomic
def archive_definition(*, by: User, definition: Definition, force: bool = False) -> None:
    """Put a definition away. Raises Forbidden, InUse (naming what uses it); an Admin may `force`."""
    locked = Definition.objects.select_for_update().get(pk=definition.pk)
    access.require(by, "definition.edit", locked)
    if force and by.role != Role.ADMIN:
        raise Forbidden("Only an Admin may archive a definition that is in use.")
    if locked.is_archived:
        return
    found = uses.refuse_if_used("definition", locked.pk, by=by, force=force)
    locked.archived_at = clock.now()
    locked.save(update_fields=["archived_at", "updated_at"])
    audit.log(by, "definition.archive", locked, changes={"uses": found.total, "force": force})


@transaction.atomic
def move_alias(*, by: User, definition: Definition, name: str, number: int) -> Alias:
    """Point the alias `name` at version `number`, and remember the move. Raises Rejected, Forbidden, Archived."""
    locked = _lock(by, definition)
    if not gates.is_alias(name):
        raise Rejected("use small letters, digits and hyphens (at most 63), starting with a letter", attr="name")
    version = get_version(locked, number, attr="version")
    alias = Alias.objects.filter(definition=locked, name=name).select_related("version").first()
    if alias is not None and alias.version_id == version.pk:
        return alias
    _remember_move(by, locked, name, alias.version.number if alias else None, number)
    moved, _ = Alias.objects.update_or_create(
        definition=locked, name=name, defaults={"version": version, "moved_by": by}
    )
    return moved


@transaction.atomic
def delete_alias(*, by: User, definition: Definition, name: str) -> None:
    """Remove the alias `name`; its history stays. Raises NotFound, Forbidden, Archived."""
    locked = _lock(by, definition)
    alias = Alias.objects.filter(definition=locked, name=name).select_related("version").first()
    if alias is None:
        raise NotFound
    _remember_move(by, locked, name, alias.version.number, None)
    alias.delete()


def get_version(definition: Definition, number: int, *, attr: str) -> DefinitionVersion:
    """Return version `number`. Raises Rejected at `attr`."""
    version = definition.versions.filter(number=number).first()
    if version is None:
        raise Rejected("there is no such version", attr=attr, code="unknown_version")
    return version


def _lock(by: User, definition: Definition) -> Definition:
    """Return the row as it is now, locked until the transaction ends. Raises Forbidden, Archived."""
    locked = Definition.objects.select_for_update().get(pk=definition.pk)
    access.require(by, "definition.edit", locked)
    if locked.is_archived:
        raise Archived
    return locked


def _clean(content: dict[str, Any]) -> dict[str, Any]:
    """Return `content` if the database can store it and it is small enough. Raises Rejected with the place."""
    try:
        text = canonical(content)
    except (TypeError, ValueError) as exc:
        # ValueError: NaN, or half of a surrogate pair.
        raise Rejected("holds something that JSON can't say", attr="config", code="not_json") from exc
    if len(text) > MAX_CONTENT_BYTES:
        raise Rejected(f"a version has at most {MAX_CONTENT_BYTES} bytes", attr="config", code="too_large")
    return dict(load_json(text))


def _connection_problems(by: User, kind: kinds.Kind, config: Any) -> list[Problem]:
    """Say which connections that the config names `by` can't see. Raises Forbidden for one that he may only see."""
    wanted = dict.fromkeys(kind.connections(config), "config.connection")
    for place, secret in enumerate(kind.secrets(config)):
        wanted.setdefault(secret.connection, f"config.secrets.{place}.connection")
    if not wanted:
        return []
    found = {row.slug: row for row in Connection.objects.visible_to(by).active().filter(slug__in=wanted)}
    for row in found.values():
        access.require(by, "connection.use", row)
    return [
        Problem(path, "unknown_connection", "there is no such connection that you may use")
        for slug, path in wanted.items()
        if slug not in found
    ]


def _next_version(
    by: User, definition: Definition, locked: Definition, content: Mapping[str, Any], note: str
) -> tuple[DefinitionVersion, bool]:
    """Write the next version of the locked row, unless the newest says the same."""
    digest = sha256(canonical(content)).hexdigest()
    newest = locked.versions.filter(number=locked.latest_number).first()
    if newest is not None and newest.digest == digest:
        return newest, False
    locked.latest_number += 1
    locked.save(update_fields=["latest_number", "updated_at"])
    # The caller's own row tells the same as the database.
    definition.latest_number = locked.latest_number
    version = DefinitionVersion.objects.create(
        definition=locked, number=locked.latest_number, digest=digest, note=note[:500], created_by=by, **content
    )
    audit.log(by, "definition.version", locked, changes={"number": [version.number - 1 or None, version.number]})
    return version, True


def _remember_move(by: User, definition: Definition, name: str, before: int | None, after: int | None) -> None:
    AliasMove.objects.create(definition=definition, name=name, from_number=before, to_number=after, by=by)
    verb = "delete_alias" if after is None else "move_alias"
    audit.log(by, f"definition.{verb}", definition, changes={name: [before, after]})
