"""Taking rows from a cursor until there are enough of them, in batches that stay small where rows are wide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from connections.connectors.base import Query
from connections.connectors.values import json_value, size_of

_FIRST_BATCH, _BATCH_BYTES, _MAX_BATCH = 100, 1024 * 1024, 2000


def collect(
    fetch: Callable[[int], Sequence[Sequence[Any]]], query: Query, check: Callable[[], None]
) -> tuple[list[list[Any]], bool]:
    """Return rows of JSON values within the caps of `query`, and whether there were more.

    `fetch(n)` returns the next `n` rows or fewer, none at the end; `check` raises where the query was to end.
    """
    rows: list[list[Any]] = []
    size, batch = 0, _FIRST_BATCH
    while True:
        check()
        found = fetch(min(batch, query.max_rows + 1 - len(rows)))
        if not found:
            return rows, False
        for raw in found:
            row = [json_value(value) for value in raw]
            size += size_of(row)
            if len(rows) >= query.max_rows or size > query.max_bytes:
                return rows, True
            rows.append(row)
        # Wide rows come in small batches, so that one batch stays near a megabyte.
        batch = max(1, min(_MAX_BATCH, _BATCH_BYTES * len(rows) // max(size, 1)))
