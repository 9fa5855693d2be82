"""Whom a change of schema touches: changes joined with what statements read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connections.drift import Change
from connections.sqlreads import ALL, Read
from mcp_site.core.uses import Reading, Use

_WORDS = {
    "table_removed": "which is gone",
    "column_removed": "which is gone",
    "kind_changed": "which is another kind of thing now",
    "type_changed": "whose type changed",
    "nullability_changed": "which may be empty now, or must not be",
    "column_added": "which is new, and * takes in",
}
_OF_TABLES = ("table_removed", "kind_changed")


@dataclass(frozen=True, slots=True)
class Affected:
    """One thing that reads what changed, and why that matters."""

    use: Use
    because: str


@dataclass(frozen=True, slots=True)
class Impact:
    """Who is affected, as far as the asker may see them, and how many more."""

    affected: tuple[Affected, ...] = ()
    hidden: int = 0


def impact_of(changes: Iterable[Change], readings: Iterable[Reading]) -> Impact:
    """Return who reads a table or column that changed so that reading it may fail or say something else."""
    relevant = [change for change in changes if change.kind in _WORDS]
    found: dict[Use, list[str]] = {}
    hidden = 0
    for reading in readings:
        touched = [change for change in relevant if _touches(change, reading.reads)]
        if not touched:
            continue
        if reading.use is None:
            hidden += 1
            continue
        said = "; ".join(f"{change.place}, {_WORDS[change.kind]}" for change in touched)
        at = f"{reading.place} reads " if reading.place else "reads "
        found.setdefault(reading.use, []).append(at + said)
    affected = tuple(Affected(use, "; ".join(dict.fromkeys(said))) for use, said in found.items())
    return Impact(affected, hidden)


def _touches(change: Change, reads: Sequence[Read]) -> bool:
    return any(_is_there(change, read) and _is_of_it(change, read) for read in reads)


def _is_there(change: Change, read: Read) -> bool:
    return read.table == change.table.lower() and read.schema in ("", change.schema.lower())


def _is_of_it(change: Change, read: Read) -> bool:
    if change.kind in _OF_TABLES:
        return True
    if change.kind == "column_added":
        return ALL in read.columns
    return ALL in read.columns or change.name.lower() in read.columns
