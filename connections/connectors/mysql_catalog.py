"""Reading the information schema of MySQL and MariaDB: four queries, however many tables there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from connections.connectors.base import Column, ForeignKey, Index, Table
from connections.connectors.mysql_protocol import Session
from connections.connectors.mysql_session import ask

_SCOPE = "table_schema = database()"
_TABLES = f"""
select table_name, table_type, table_comment, table_rows
from information_schema.tables where {_SCOPE} order by table_name
"""  # noqa: S608
_COLUMNS = f"""
select table_name, column_name, column_type, is_nullable, column_default, extra, column_comment
from information_schema.columns where {_SCOPE} order by table_name, ordinal_position
"""  # noqa: S608
_FOREIGN_KEYS = f"""
select table_name, constraint_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name
from information_schema.key_column_usage
where {_SCOPE} and referenced_table_name is not null order by table_name, constraint_name, ordinal_position
"""  # noqa: S608
_INDEXES = f"""
select table_name, index_name, column_name, non_unique
from information_schema.statistics where {_SCOPE} order by table_name, index_name, seq_in_index
"""  # noqa: S608
_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table", "VIEW": "view", "SYSTEM VIEW": "view"}
_PRIMARY = "PRIMARY"


def scan(conn: Session, database: str) -> list[Table]:
    """Return every table and view of the connection's database, in order of name."""
    tables = ask(conn, _TABLES)
    columns = _by_table(ask(conn, _COLUMNS))
    foreign_keys = _by_table(ask(conn, _FOREIGN_KEYS))
    indexes = _by_table(ask(conn, _INDEXES))
    return [
        Table(
            schema=database,
            name=name,
            kind=_KINDS.get(kind, kind.lower()),
            # A view's comment is the word VIEW.
            comment=comment if comment and kind != "VIEW" else None,
            columns=tuple(map(_column, columns[name])),
            primary_key=tuple(column for index, column, _ in indexes[name] if index == _PRIMARY),
            foreign_keys=_foreign_keys(foreign_keys[name]),
            indexes=_indexes(indexes[name]),
            rows=rows,
        )
        for name, kind, comment, rows in tables
        if kind != "SEQUENCE"
    ]


def _column(row: tuple[Any, ...]) -> Column:
    name, type_, nullable, default, extra, comment = row
    # MariaDB says NULL for "no default"; both say in `extra` what makes the value.
    stated = None if default in (None, "NULL") else str(default)
    made = " ".join(part for part in (stated, (extra or "").lower().replace("default_generated", "").strip()) if part)
    return Column(name=name, type=type_, nullable=nullable == "YES", default=made or None, comment=comment or None)


def _foreign_keys(rows: list[tuple[Any, ...]]) -> tuple[ForeignKey, ...]:
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, *rest in rows:
        found[name].append(tuple(rest))
    return tuple(
        ForeignKey(
            name=name,
            columns=tuple(own for own, _, _, _ in parts),
            schema=parts[0][1],
            table=parts[0][2],
            target_columns=tuple(theirs for *_, theirs in parts),
        )
        for name, parts in found.items()
    )


def _indexes(rows: list[tuple[Any, ...]]) -> tuple[Index, ...]:
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, column, non_unique in rows:
        found[name, not non_unique].append(column or "(expression)")
    return tuple(Index(name=name, columns=tuple(parts), unique=unique) for (name, unique), parts in found.items())


def _by_table(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Group rows by their first value, the table's name."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, *rest in rows:
        found[name].append(tuple(rest))
    return found
