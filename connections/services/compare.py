"""Comparing two snapshots, and asking whom the difference touches."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from connections import drift
from connections.impact import Impact, impact_of
from connections.models import Connection, SchemaSnapshot
from mcp_site.core import uses
from mcp_site.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two snapshots and what differs; both are the same where there is only one."""

    before: SchemaSnapshot
    after: SchemaSnapshot
    changes: tuple[drift.Change, ...]


def compare_snapshots(connection: Connection, before: int | None = None, after: int | None = None) -> Comparison:
    """Return what changed from one snapshot to another; the newest, and the one before it, unless named.

    Raises NotFound (`not_scanned`, or the number of a snapshot that there is not).
    """
    newest = _snapshot(connection, after)
    if before is None:
        earlier = connection.snapshots.filter(number__lt=newest.number).order_by("-number").first()
        old = earlier or newest
    else:
        old = _snapshot(connection, before)
    return Comparison(old, newest, tuple(drift.compare(old.tables, newest.tables)))


def impact_on(by: User, connection: Connection, comparison: Comparison) -> Impact:
    """Return who reads what changed, as far as `by` may see them, and how many more."""
    return impact_of(comparison.changes, uses.readings("connection", connection.pk, by=by))


def _snapshot(connection: Connection, number: int | None) -> SchemaSnapshot:
    found = connection.snapshots.order_by("-number")
    if number is not None:
        found = found.filter(number=number)
    snapshot: SchemaSnapshot | None = found.first()
    if snapshot is None and number is None:
        raise NotFound("This connection has not been scanned yet.", code="not_scanned")
    if snapshot is None:
        raise NotFound(f"There is no snapshot {number}.")
    return snapshot
