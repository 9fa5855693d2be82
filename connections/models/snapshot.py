"""Snapshots: what one scan found in a database, kept as it was."""

from __future__ import annotations

from typing import Any

from django.conf import settings
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
