"""Snapshots: what one scan found in a database, kept as it was."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import connection as database
from django.db import models
from django.db.models.functions import Now

from connections.models.connection import Connection
from mcp_site.core.models import PublicId


class SchemaSnapshot(PublicId):
    """The schema of a connection at one moment. A database trigger refuses to change or remove it."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="snapshots")
    number = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the tables, row estimates apart")
    tables = models.JSONField(default=list)
    tables_count = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    created_at = models.DateTimeField(db_default=Now())

    #: Whether the scan that returned this made it; not stored.
    is_new = False

    class Meta:
        db_table = "connections_snapshots"
        ordering = ("-number",)
        constraints = [
            # Also serves "the newest of this connection".
            models.UniqueConstraint(fields=["connection", "number"], name="snapshot_number"),
        ]

    def __str__(self) -> str:
        return f"{self.connection_id} #{self.number}"

    def tables_with(self, text: str) -> list[dict[str, Any]]:
        """Return the tables that have `text` in their own name, their schema's, or a column's; all for no text."""
        wanted = text.lower()
        return [
            table
            for table in self.tables
            if wanted in f"{table['schema']}.{table['name']}".lower()
            or any(wanted in column["name"].lower() for column in table["columns"])
        ]

    def outline(self, text: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return schema, name and rows of the first tables that `tables_with` finds, and how many it finds.

        The database reads the document, which is faster than bringing thousands of tables here.
        """
        with database.cursor() as cursor:
            cursor.execute(_OUTLINE, {"pk": self.pk, "text": text.replace("\x00", ""), "limit": limit})
            rows = cursor.fetchall()
        tables = [{"schema": schema, "name": name, "rows": count} for schema, name, count, _ in rows]
        return tables, rows[0][3] if rows else 0

    def table(self, full_name: str) -> dict[str, Any] | None:
        """Return one table by `schema.name`."""
        with database.cursor() as cursor:
            cursor.execute(_TABLE, {"pk": self.pk, "name": full_name.replace("\x00", "")})
            row = cursor.fetchone()
        return json.loads(row[0]) if row else None

    def index(self) -> list[list[Any]]:
        """Return `[schema, name, rows, "column column …"]` for every table, to be searched in the browser."""
        with database.cursor() as cursor:
            cursor.execute(_INDEX, {"pk": self.pk})
            return [list(row) for row in cursor.fetchall()]


_EACH = "from connections_snapshots s cross join lateral jsonb_array_elements(s.tables) t where s.id = %(pk)s"
_OUTLINE = f"""
select t ->> 'schema', t ->> 'name', (t ->> 'rows')::bigint, count(*) over ()
{_EACH} and (%(text)s = '' or position(lower(%(text)s) in lower((t ->> 'schema') || '.' || (t ->> 'name'))) > 0
  or exists (select from jsonb_array_elements(t -> 'columns') c
             where position(lower(%(text)s) in lower(c ->> 'name')) > 0))
order by 1, 2 limit %(limit)s
"""  # noqa: S608
_TABLE = f"select t::text {_EACH} and (t ->> 'schema') || '.' || (t ->> 'name') = %(name)s limit 1"
_INDEX = f"""
select t ->> 'schema', t ->> 'name', (t ->> 'rows')::bigint,
       (select coalesce(string_agg(c ->> 'name', ' '), '') from jsonb_array_elements(t -> 'columns') c)
{_EACH} order by 1, 2
"""  # noqa: S608
