"""Reading DuckDB's own catalog functions: five queries, however many tables there are."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import duckdb

from connections.connectors.base import Column, ForeignKey, Index, Table

_OWN = "database_name = current_database() and not internal"
_TABLES = f"""
select schema_name, table_name, 'table', comment, estimated_size from duckdb_tables() where {_OWN}
union all
select schema_name, view_name, 'view', comment, null from duckdb_views() where {_OWN}
order by 1, 2
"""  # noqa: S608
_COLUMNS = f"""
select schema_name, table_name, column_name, data_type, is_nullable, column_default, comment
from duckdb_columns() where {_OWN} order by schema_name, table_name, column_index
"""  # noqa: S608
_CONSTRAINTS = """
select schema_name, table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names
from duckdb_constraints()
where database_name = current_database() and constraint_type in ('PRIMARY KEY', 'FOREIGN KEY')
order by schema_name, table_name, constraint_index
"""
_INDEXES = """
select schema_name, table_name, index_name, expressions, is_unique
from duckdb_indexes() where database_name = current_database() order by schema_name, table_name, index_name
"""
Place = tuple[str, str]


def scan(conn: duckdb.DuckDBPyConnection) -> list[Table]:
    """Return every table and view in order of schema and name."""
    tables = conn.execute(_TABLES).fetchall()
    columns = _by_table(conn.execute(_COLUMNS).fetchall())
    constraints = _by_table(conn.execute(_CONSTRAINTS).fetchall())
    indexes = _by_table(conn.execute(_INDEXES).fetchall())
    return [
        Table(
            schema=schema,
            name=name,
            kind=kind,
            comment=comment,
            columns=tuple(
                Column(name=column, type=type_, nullable=bool(nullable), default=default, comment=text)
                for column, type_, nullable, default, text in columns[schema, name]
            ),
            primary_key=tuple(
                column for kind_, own, *_ in constraints[schema, name] if kind_ == "PRIMARY KEY" for column in own
            ),
            foreign_keys=tuple(
                ForeignKey(name=None, columns=tuple(own), schema=schema, table=target, target_columns=tuple(theirs))
                for kind_, own, target, theirs in constraints[schema, name]
                if kind_ == "FOREIGN KEY"
            ),
            indexes=tuple(
                Index(name=index, columns=_parts(expressions), unique=bool(unique))
                for index, expressions, unique in indexes[schema, name]
            ),
            rows=rows,
        )
        for schema, name, kind, comment, rows in tables
    ]


def _parts(expressions: str | None) -> tuple[str, ...]:
    """Return the expressions of an index, which the catalog writes as `[a, b]`."""
    return tuple(part.strip().strip("'\"") for part in (expressions or "").strip("[]").split(",") if part.strip())


def _by_table(rows: list[tuple[Any, ...]]) -> dict[Place, list[tuple[Any, ...]]]:
    found: dict[Place, list[tuple[Any, ...]]] = defaultdict(list)
    for schema, name, *rest in rows:
        found[schema, name].append(tuple(rest))
    return found
