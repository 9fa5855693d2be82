"""What an SQL statement reads: tables, and the columns of each as far as the text tells. Pure; never fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

ALL = "*"


@dataclass(frozen=True, slots=True, order=True)
class Read:
    """One table that a statement reads: names in small letters; `schema` empty where the text names none.

    `columns` may hold more than are really read: a column without a table in front may belong to any table there.
    """

    schema: str
    table: str
    columns: tuple[str, ...]


@lru_cache(maxsize=2048)
def reads_of(sql: str, dialect: str) -> tuple[Read, ...]:
    """Return what `sql` reads, sorted; nothing for what can't be understood. Remembered: versions never change."""
    try:
        trees = sqlglot.parse(sql, dialect=dialect or None)
    except (SqlglotError, RecursionError, ValueError):
        return ()
    found: dict[tuple[str, str], set[str]] = {}
    for tree in trees:
        if tree is not None:
            for table, columns in _of_tree(tree):
                place = ((table.db or "").lower(), table.name.lower())
                found.setdefault(place, set()).update(columns)
    return tuple(sorted(Read(schema, name, tuple(sorted(columns))) for (schema, name), columns in found.items()))


def _of_tree(tree: Any) -> Iterator[tuple[Any, set[str]]]:
    try:
        scopes = traverse_scope(tree) if isinstance(tree, exp.Query) else []
    except (SqlglotError, RecursionError):
        scopes = []
    if scopes:
        for scope in scopes:
            yield from _of_scope(scope)
        return
    # What is no query (INSERT, UPDATE …): every table may be read, by every column.
    names = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    columns = {column.name.lower() for column in tree.find_all(exp.Column)}
    columns |= {ALL} if next(tree.find_all(exp.Star), None) else set()
    for table in tree.find_all(exp.Table):
        if table.name and (table.db or table.name.lower() not in names):
            yield table, columns


def _of_scope(scope: Scope) -> Iterator[tuple[Any, set[str]]]:
    tables = _tables(scope)
    used: dict[str, set[str]] = {alias: set() for alias in tables}
    for column in scope.columns:
        name = ALL if isinstance(column.this, exp.Star) else column.name.lower()
        for alias in [column.table] if column.table else list(tables):
            if alias in used:
                used[alias].add(name)
            elif column.table:
                _add_outside(scope, alias, name, used, tables)
    for alias, name in _stars_and_shared(scope):
        for one in [alias] if alias else list(used):
            used.setdefault(one, set()).add(name)
    for alias, table in tables.items():
        yield table, used[alias]


def _stars_and_shared(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield (alias, column) for `*`, `a.*` and `using (x)`; no alias means every table of the query."""
    for part in scope.expression.expressions:
        if isinstance(part, exp.Star):
            yield "", ALL
        elif isinstance(part, exp.Column) and isinstance(part.this, exp.Star):
            yield part.table, ALL
    for join in scope.expression.args.get("joins") or []:
        for shared in join.args.get("using") or []:
            yield "", shared.name.lower()


def _tables(scope: Scope) -> dict[str, Any]:
    return {alias: source for alias, source in scope.sources.items() if isinstance(source, exp.Table) and source.name}


def _add_outside(scope: Scope, alias: str, name: str, used: dict[str, set[str]], tables: dict[str, Any]) -> None:
    """Note a column of an outer query that an inner one names."""
    outer = scope.parent
    while outer is not None:
        found = _tables(outer).get(alias)
        if found is not None:
            tables.setdefault(alias, found)
            used.setdefault(alias, set()).add(name)
            return
        outer = outer.parent
