"""Connections as a Django app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db import DatabaseError, connection

from connections.connectors import allow_files_under, know_own_database
from mcp_site.core import egress, ticks


class ConnectionsConfig(AppConfig):
    """Connections, snapshots of schemas, connectors."""

    name = "connections"

    def ready(self) -> None:
        """Tell the connectors, which know no settings, where files may be opened."""
        allow_files_under([settings.MCP_DATA_DIR, *map(Path, settings.SQLITE_ROOTS)])
        know_own_database(own_database)
        register(egress_policy)
        # Models can be imported once all apps are loaded.
        from connections.services import scan_due

        ticks.register("connections.scan", 30.0, scan_due)


def own_database() -> tuple[str, str] | None:
    """Return system identifier and name of the panel's own database, None where it does not tell. Asked once."""
    if not _own:
        try:
            with connection.cursor() as cursor:
                cursor.execute("select system_identifier::text, current_database() from pg_control_system()")
                _own.append(cursor.fetchone())
        except DatabaseError:
            return None
    return _own[0]


_own: list[tuple[str, str]] = []


def egress_policy(**_: Any) -> list[CheckMessage]:
    """connections.W001: an entry of EGRESS_ALLOW that allows nothing."""
    hint = "Write loopback, private, or a network such as 10.20.0.0/16."
    return [
        Warning(f"EGRESS_ALLOW holds {entry!r}, which means nothing.", hint=hint, id="connections.W001")
        for entry in egress.problems_of_policy()
    ]
