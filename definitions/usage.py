"""Which definitions use a connection: those whose newest version, or one that an alias stands for, names it."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, TextField
from django.db.models.functions import Cast

from connections import connectors
from connections.models import Connection
from definitions import kinds
from definitions.models import Definition, DefinitionVersion
from mcp_site.core.uses import Found, Reading, Use


def definitions_using_connection(pk: int, by: Any) -> Found:
    """Return the definitions that name the connection, as far as `by` may see them."""
    slug = Connection.objects.values_list("slug", flat=True).get(pk=pk)
    live = Q(number=F("definition__latest_number")) | Q(aliases__isnull=False)
    # The database finds what may name it; the kind, which alone knows its config, says whether it does.
    text = DefinitionVersion.objects.annotate(text=Cast("config", TextField())).filter(
        live, text__contains=f'"{slug}"', definition__archived_at=None
    )
    versions = text.select_related("definition")
    using = {version.definition.pk: version.definition for version in versions if slug in _named(version)}
    seen = set(Definition.objects.visible_to(by).filter(pk__in=using).values_list("pk", flat=True))
    rows = sorted((row for row in using.values() if row.pk in seen), key=lambda row: row.slug)
    uses = tuple(_use(row) for row in rows)
    return Found(uses, len(using) - len(uses))


def readings_of_connection(pk: int, by: Any) -> list[Reading]:
    """Return what the live versions of SQL definitions read of a connection that they name themselves."""
    connection = Connection.objects.only("slug", "type").get(pk=pk)
    live = Q(number=F("definition__latest_number")) | Q(aliases__isnull=False)
    versions = (
        DefinitionVersion.objects.filter(
            live, definition__kind="sql", definition__archived_at=None, config__connection=connection.slug
        )
        .select_related("definition")
        .order_by("definition__slug", "number")
        .distinct()
    )
    found = list(versions)
    seen = set(
        Definition.objects.visible_to(by).filter(pk__in=[v.definition_id for v in found]).values_list("pk", flat=True)
    )
    return [
        Reading(_use(version.definition) if version.definition_id in seen else None, reads, f"version {version.number}")
        for version in found
        if (reads := reads_of_version(version, connection.type))
    ]


def reads_of_version(version: DefinitionVersion, connection_type: str) -> tuple[Any, ...]:
    """Return what a version's SQL reads of a connection of that type; nothing for other kinds."""
    if version.definition.kind != "sql":
        return ()
    return connectors.reads_of(connection_type, str(version.config.get("sql", "")))


def _use(row: Definition) -> Use:
    return Use("definition", row.slug, row.name, row.get_absolute_url())


def _named(version: DefinitionVersion) -> set[str]:
    if version.definition.kind not in kinds.KINDS:
        # A plug-in that is not installed any more.
        return set()
    kind = kinds.get(version.definition.kind)
    config = kinds.read_config(kind, version.config)
    return {*kind.connections(config), *(ref.connection for ref in kind.secrets(config))}
