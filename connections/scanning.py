"""Keeping what a scan found: a new snapshot where the schema changed, nothing but the time where it did not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction

from accounts.models import User
from connections.connectors import Table
from connections.models import Connection, SchemaSnapshot
from connections.signals import schema_changed
from mcp_site.core import clock
from mcp_site.core.documents import canonical


def fingerprint_of(tables: Sequence[dict[str, Any]]) -> str:
    """Return the SHA-256 of the tables; row estimates don't count, or every scan would be a change."""
    bare = [{name: value for name, value in table.items() if name != "rows"} for table in tables]
    return hashlib.sha256(canonical(bare)).hexdigest()


@transaction.atomic
def keep(connection: Connection, tables: Sequence[Table], *, by: User | None) -> SchemaSnapshot:
    """Store what was found; return the newest snapshot, which says whether it is new.

    Locks the connection's row, so that two scans at once get two numbers. Sends `schema_changed` after commit.
    """
    Connection.objects.select_for_update().get(pk=connection.pk)
    newest = connection.snapshots.order_by("-number").first()
    rows = [_plain(asdict(table)) for table in tables]
    fingerprint = fingerprint_of(rows)
    Connection.objects.filter(pk=connection.pk).update(last_scan_at=clock.now(), fingerprint=fingerprint)
    if newest is not None and newest.fingerprint == fingerprint:
        return newest
    number = newest.number + 1 if newest else 1
    snapshot = SchemaSnapshot.objects.create(
        connection=connection,
        number=number,
        fingerprint=fingerprint,
        tables=rows,
        tables_count=len(rows),
        created_by=by,
    )
    if newest is not None:
        before = newest.number
        transaction.on_commit(lambda: _announce(connection.pk, before, number))
    snapshot.is_new = True
    return snapshot


def _announce(connection_id: int, before: int, after: int) -> None:
    schema_changed.send(sender=SchemaSnapshot, connection_id=connection_id, before=before, after=after)


def _plain(value: Any) -> Any:
    """Return `value` as PostgreSQL's jsonb can hold it: lists for tuples, no NUL in text."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
