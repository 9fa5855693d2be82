"""Testing, scanning and querying. No transaction stays open while the other side is asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from time import perf_counter
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User
from connections import connectors, scanning
from connections.connectors import Connector, Query, Result, TestResult
from connections.models import Connection, PastQuery, SchemaSnapshot
from connections.services.guards import open_row, require_usable
from mcp_site.core import clock
from mcp_site.core.errors import AppError, Forbidden, Rejected
from mcp_site.core.masking import Masker

logger = logging.getLogger(__name__)

MAX_QUERY_ROWS = 10_000
QUERY_SECONDS = 60.0
MAX_PAST_QUERIES = 100


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
    return _scan(by, connection, connector)


def scan_due() -> float | None:
    """Scan one connection whose time has come, as its owner; return 0 if another may be waiting. The clock calls this.

    A failure is kept on the connection, and logged; the next turn is after the usual time.
    """
    due = Connection.objects.active().filter(scan_every__gt=0, scan_due_at__lte=clock.now()).select_related("owner")
    connection = due.order_by("scan_due_at").first()
    if connection is None:
        return None
    # Before the scan, so that one that ends the process does not come again at once.
    next_time = clock.now() + timedelta(hours=connection.scan_every)
    Connection.objects.filter(pk=connection.pk).update(scan_due_at=next_time, scan_error="")
    try:
        if connection.owner is None:
            raise Forbidden("Its owner is gone.")
        scan_connection(by=connection.owner, connection=connection)
    except AppError as exc:
        logger.warning("scan of connection %s by the clock failed: %s", connection.slug, exc.code)
        Connection.objects.filter(pk=connection.pk).update(scan_error=exc.detail[:2000])
    return 0.0


def _scan(by: User, connection: Connection, connector: Connector) -> SchemaSnapshot:
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
    start = perf_counter()
    try:
        result = connector.query(connectors.read_config(connector, opened.config), query)
    except AppError as exc:
        _remember(by, connection, text, start, error=Masker(opened.secrets).text(exc.detail)[:2000])
        raise
    _remember(by, connection, text, start, row_count=len(result.rows), truncated=result.truncated)
    return result


def _remember(by: User, connection: Connection, sql: str, start: float, **outcome: Any) -> None:
    """Keep the query for the person who asked, and no more than the newest of theirs."""
    with transaction.atomic():
        ms = round((perf_counter() - start) * 1000, 1)
        PastQuery.objects.create(user=by, connection=connection, sql=sql, ms=ms, **outcome)
        kept = PastQuery.objects.filter(user=by, connection=connection).order_by("-id")[:MAX_PAST_QUERIES]
        PastQuery.objects.filter(user=by, connection=connection).exclude(pk__in=kept.values("pk")).delete()
