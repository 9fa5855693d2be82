"""What people do with connections."""

from __future__ import annotations

from connections.services.guards import Archived, DriverMissing
from connections.services.rows import archive_connection, create_connection, update_connection
from connections.services.use import MAX_QUERY_ROWS, QUERY_SECONDS, run_query, scan_connection, test_connection

__all__ = [
    "MAX_QUERY_ROWS",
    "QUERY_SECONDS",
    "Archived",
    "DriverMissing",
    "archive_connection",
    "create_connection",
    "run_query",
    "scan_connection",
    "test_connection",
    "update_connection",
]
