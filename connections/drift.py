"""What differs between two snapshots of a schema. Pure: tables as they are stored, changes in the order of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Kinds of change after which something that worked may fail or say something else.
BREAKING = frozenset({"table_removed", "column_removed", "type_changed", "nullability_changed", "kind_changed"})

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: its kind, where, and what was and is there."""

    kind: str
    schema: str
    table: str
    #: The column, key or index; empty where the table as a whole is meant.
    name: str = ""
    before: Any = None
    after: Any = None

    @property
    def is_breaking(self) -> bool:
        """Tell whether what reads the place may fail, or say something else."""
        return self.kind in BREAKING

    @property
    def place(self) -> str:
        """Return where: `shop.customer.email`."""
        return ".".join(part for part in (self.schema, self.table, self.name) if part)


def compare(before: Sequence[Table], after: Sequence[Table]) -> list[Change]:
    """Return the changes from one list of tables to another; row estimates are none."""
    old, new = _by_name(before), _by_name(after)
    changes: list[Change] = []
    for place in sorted(old.keys() | new.keys()):
        changes += _table(place, old.get(place), new.get(place))
    return changes


def _by_name(tables: Iterable[Table]) -> dict[tuple[str, str, str], Table]:
    """Key tables by name; where a name stands for two kinds (Redis's patterns), by kind too."""
    listed = list(tables)
    names = Counter((table["schema"], table["name"]) for table in listed)
    found: dict[tuple[str, str, str], Table] = {}
    for table in listed:
        name = (table["schema"], table["name"])
        found[(*name, str(table.get("kind", "")) if names[name] > 1 else "")] = table
    return found


def _table(place: tuple[str, str, str], old: Table | None, new: Table | None) -> Iterator[Change]:
    where = {"schema": place[0], "table": place[1]}
    if old is None or new is None:
        kind = "table_added" if old is None else "table_removed"
        yield Change(kind=kind, before=old and old["kind"], after=new and new["kind"], **where)
        return
    for field, kind in (("kind", "kind_changed"), ("comment", "comment_changed")):
        if old.get(field) != new.get(field):
            yield Change(kind=kind, before=old.get(field), after=new.get(field), **where)
    yield from _columns(where, old, new)
    if old["primary_key"] != new["primary_key"]:
        yield Change(kind="primary_key_changed", before=old["primary_key"], after=new["primary_key"], **where)
    yield from _parts(where, "foreign_key", _keys(old), _keys(new))
    yield from _parts(where, "index", _named(old["indexes"]), _named(new["indexes"]))


def _columns(where: dict[str, str], old: Table, new: Table) -> Iterator[Change]:
    was, now = _named(old["columns"]), _named(new["columns"])
    for name in [*was, *(name for name in now if name not in was)]:
        if name not in now:
            yield Change(kind="column_removed", name=name, before=was[name]["type"], **where)
        elif name not in was:
            yield Change(kind="column_added", name=name, after=now[name]["type"], **where)
        else:
            for field, kind in (
                ("type", "type_changed"),
                ("nullable", "nullability_changed"),
                ("default", "default_changed"),
                ("comment", "comment_changed"),
            ):
                if was[name].get(field) != now[name].get(field):
                    yield Change(kind=kind, name=name, before=was[name].get(field), after=now[name].get(field), **where)


def _parts(where: dict[str, str], word: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(was.keys() | now.keys()):
        if name not in now:
            yield Change(kind=f"{word}_removed", name=name, before=was[name], **where)
        elif name not in was:
            yield Change(kind=f"{word}_added", name=name, after=now[name], **where)
        elif was[name] != now[name]:
            yield Change(kind=f"{word}_changed", name=name, before=was[name], after=now[name], **where)


def _named(parts: Iterable[Table]) -> dict[str, Table]:
    return {part["name"]: part for part in parts}


def _keys(table: Table) -> dict[str, Table]:
    """Key foreign keys by name, or by their columns where the database gives none."""
    return {key["name"] or f"({', '.join(key['columns'])})": key for key in table["foreign_keys"]}
