"""What people do with connections."""

from __future__ import annotations

from connections.services.compare import Comparison, compare_snapshots, impact_on
from connections.services.guards import Archived, DriverMissing
from connections.services.rows import MAX_SCAN_HOURS, archive_connection, create_connection, update_connection
from connections.services.use import (
    MAX_QUERY_ROWS,
    QUERY_SECONDS,
    run_query,
    scan_connection,
    scan_due,
    test_connection,
)

__all__ = [
    "MAX_QUERY_ROWS",
    "MAX_SCAN_HOURS",
    "QUERY_SECONDS",
    "Archived",
    "Comparison",
    "DriverMissing",
    "archive_connection",
    "compare_snapshots",
    "create_connection",
    "impact_on",
    "run_query",
    "scan_connection",
    "scan_due",
    "test_connection",
    "update_connection",
]
