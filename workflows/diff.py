"""What differs between two JSON values, by path. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_CHANGES = 200
MAX_DEPTH = 32
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two values differ. `what`: added, removed or changed; values that are missing are None."""

    path: str
    what: str
    before: Any = None
    after: Any = None


def changes(before: Any, after: Any, limit: int = MAX_CHANGES) -> list[Change]:
    """Return where `after` differs from `before`, objects by name and lists by position, at most `limit` places."""
    return list(islice(_walk("", before, after, 0), limit))


def _walk(path: str, before: Any, after: Any, depth: int) -> Iterator[Change]:
    if before is _MISSING:
        yield Change(path, "added", None, after)
    elif after is _MISSING:
        yield Change(path, "removed", before, None)
    elif isinstance(before, dict) and isinstance(after, dict) and depth < MAX_DEPTH:
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _walk(_join(path, str(name)), before.get(name, _MISSING), after.get(name, _MISSING), depth + 1)
    elif isinstance(before, list) and isinstance(after, list) and depth < MAX_DEPTH:
        for place in range(max(len(before), len(after))):
            old = before[place] if place < len(before) else _MISSING
            new = after[place] if place < len(after) else _MISSING
            yield from _walk(_join(path, str(place)), old, new, depth + 1)
    elif not same(before, after):
        yield Change(path, "changed", before, after)


def same(before: Any, after: Any) -> bool:
    """Tell whether two JSON values are the same: true is not 1, and 1 is 1.0."""
    return isinstance(before, bool) == isinstance(after, bool) and bool(before == after)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
