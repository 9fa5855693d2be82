"""Reading a SQLite file's schema: pragma table functions joined to the schema table, not a loop over tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from connections.connectors.base import Column, ForeignKey, Index, Table

_TABLES = """
select name, type, sql from sqlite_schema
where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\' order by name
"""
_COLUMNS = """
select m.name, p.name, p.type, p."notnull", p.dflt_value, p.pk, p.hidden
from sqlite_schema m join pragma_table_xinfo(m.name) p
where m.type in ('table', 'view') and m.name not like 'sqlite\\_%' escape '\\'
order by m.name, p.cid
"""
_COLUMNS_OF_ONE = """
select ?1, p.name, p.type, p."notnull", p.dflt_value, p.pk, p.hidden from pragma_table_xinfo(?1) p order by p.cid
"""
_FOREIGN_KEYS = """
select m.name, f.id, f."table", f."from", f."to"
from sqlite_schema m join pragma_foreign_key_list(m.name) f where m.type = 'table' order by m.name, f.id, f.seq
"""
_INDEXES = """
select m.name, l.name, l."unique", i.name
from sqlite_schema m join pragma_index_list(m.name) l join pragma_index_info(l.name) i
where m.type = 'table' order by m.name, l.name, i.seqno
"""
_ESTIMATES = "select tbl, max(cast(stat as integer)) from sqlite_stat1 group by tbl"


def scan(conn: sqlite3.Connection) -> list[Table]:
    """Return every table and view in order of name."""
    tables = conn.execute(_TABLES).fetchall()
    columns = _by_table(_columns(conn, [name for name, _, _ in tables]))
    foreign_keys = _by_table(conn.execute(_FOREIGN_KEYS))
    indexes = _by_table(conn.execute(_INDEXES))
    estimates = _estimates(conn)
    return [
        Table(
            schema="main",
            name=name,
            kind=kind,
            columns=tuple(
                Column(name=column, type=type_ or "", nullable=not (notnull or pk), default=default)
                for column, type_, notnull, default, pk, _hidden in columns[name]
            ),
            primary_key=tuple(row[0] for row in sorted((row for row in columns[name] if row[4]), key=lambda r: r[4])),
            foreign_keys=_foreign_keys(foreign_keys[name]),
            indexes=_indexes(indexes[name]),
            rows=estimates.get(name),
        )
        for name, kind, _ in tables
    ]


def _columns(conn: sqlite3.Connection, names: list[str]) -> list[tuple[Any, ...]]:
    """Return all columns by one query; one by one where a broken view (its table is gone) spoils that."""
    try:
        return conn.execute(_COLUMNS).fetchall()
    except sqlite3.OperationalError:
        found: list[tuple[Any, ...]] = []
        for name in names:
            try:
                found += conn.execute(_COLUMNS_OF_ONE, (name,)).fetchall()
            except sqlite3.OperationalError:
                continue  # the view stays in the list, without columns
        return found


def _estimates(conn: sqlite3.Connection) -> dict[str, int]:
    """Return the rows that ANALYZE counted, if it was ever run."""
    try:
        return dict(conn.execute(_ESTIMATES).fetchall())
    except sqlite3.OperationalError:
        return {}


def _foreign_keys(rows: list[tuple[Any, ...]]) -> tuple[ForeignKey, ...]:
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for number, *rest in rows:
        found[number].append(tuple(rest))
    return tuple(
        ForeignKey(
            name=None,
            columns=tuple(own for _, own, _ in parts),
            schema="main",
            table=parts[0][0],
            # No target columns means the other table's primary key.
            target_columns=tuple(theirs for _, _, theirs in parts if theirs),
        )
        for _, parts in sorted(found.items())
    )


def _indexes(rows: list[tuple[Any, ...]]) -> tuple[Index, ...]:
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, unique, column in rows:
        found[name, unique].append(column or "(expression)")
    return tuple(Index(name=name, columns=tuple(parts), unique=bool(unique)) for (name, unique), parts in found.items())


def _by_table(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, *rest in rows:
        found[name].append(tuple(rest))
    return found
