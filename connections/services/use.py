"""Testing, scanning and querying. No transaction stays open while the other side is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User
from connections import connectors, scanning
from connections.connectors import Query, Result, TestResult
from connections.models import Connection, SchemaSnapshot
from connections.services.guards import open_row, require_usable
from mcp_site.core import clock
from mcp_site.core.errors import Rejected
from mcp_site.core.masking import Masker

MAX_QUERY_ROWS = 10_000
QUERY_SECONDS = 60.0


def test_connection(*, by: User, connection: Connection) -> TestResult:
    """Try the connection phase by phase; the result is kept. Raises Forbidden, Archived, NotSupported."""
    connector = require_usable(by, "connection.use", connection, "test")
    opened = open_row(connection, "test", by)
    result = connector.test(connectors.read_config(connector, opened.config))
    shown = Masker(opened.secrets).data(asdict(result))
    with transaction.atomic():
        # A test of an older revision says nothing about this one.
        Connection.objects.filter(pk=connection.pk, revision=opened.revision).update(
            last_test=shown, last_test_at=clock.now()
        )
        audit.log(by, "connection.test", connection, changes={"ok": result.ok, "revision": opened.revision})
    return result


def scan_connection(*, by: User, connection: Connection) -> SchemaSnapshot:
    """Read the schema; return the newest snapshot, whose `is_new` says whether this scan made it.

    Raises Forbidden, Archived, NotSupported, ConnectorFailed.
    """
    connector = require_usable(by, "connection.use", connection, "scan")
    opened = open_row(connection, "scan", by)
    tables = connector.scan(connectors.read_config(connector, opened.config))
    with transaction.atomic():
        snapshot = scanning.keep(connection, tables, by=by)
        audit.log(by, "connection.scan", connection, changes={"snapshot": snapshot.number, "new": snapshot.is_new})
    return snapshot


def run_query(
    *, by: User, connection: Connection, sql: str, params: Mapping[str, Any] | None = None, limit: int = 1000
) -> Result:
    """Run one read-only query; at most `limit` rows. The audit row holds the text, never the parameters' values.

    Raises Forbidden, Archived, NotSupported, Rejected, ConnectorFailed.
    """
    if not 1 <= limit <= MAX_QUERY_ROWS:
        raise Rejected(f"a whole number from 1 to {MAX_QUERY_ROWS}", attr="limit")
    connector = require_usable(by, "connection.query", connection, "query")
    params = dict(params or {})
    with transaction.atomic():
        opened = open_row(connection, "query", by)
        text = Masker(opened.secrets).text(sql.replace("\x00", ""))[:100_000]
        changes = {"sql": text, "params": sorted(params), "limit": limit}
        audit.log(by, "connection.query", connection, changes=changes)
    query = Query(sql=sql, params=params, read_only=True, max_rows=limit, timeout=QUERY_SECONDS)
    return connector.query(connectors.read_config(connector, opened.config), query)
