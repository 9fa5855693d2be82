"""Asking upwards who uses a thing, without importing those who might.

An app registers a finder for a type in its `ready()`; a lower app asks before it archives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mcp_site.core.errors import Conflict

# How many uses a refusal names; the rest is counted.
NAMED = 5


class InUse(Conflict):
    """Something uses this."""

    code = "in_use"


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that uses another: its type (`workflow`), slug, name, and page."""

    type: str
    slug: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Found:
    """The uses that the asker may see, and how many more there are."""

    visible: tuple[Use, ...] = ()
    hidden: int = 0

    @property
    def total(self) -> int:
        """Return how many uses there are, seen or not."""
        return len(self.visible) + self.hidden

    def in_words(self) -> str:
        """Return a sentence that names the first of the uses and counts the others."""
        named = [f"{use.type} {use.slug}" for use in self.visible[:NAMED]]
        more = self.total - len(named)
        if not named:
            return f"Used by {more} that you can't see."
        return f"Used by {', '.join(named)}{f' and {more} more' if more else ''}."


@dataclass(frozen=True, slots=True)
class Reading:
    """What one use reads of the thing: `reads` in the words of the thing's own app; `use` None where it is hidden."""

    use: Use | None
    reads: tuple[Any, ...]
    #: Where in the use: `step load`. Empty for the use as a whole.
    place: str = ""


Finder = Callable[[int, Any], Found]
Reader = Callable[[int, Any], list[Reading]]


@dataclass
class _Finders:
    by_type: dict[str, list[Finder]] = field(default_factory=dict)
    readers: dict[str, list[Reader]] = field(default_factory=dict)


_finders = _Finders()


def register(type: str, finder: Finder) -> None:
    """Let `finder(pk, by)` answer who uses the object of `type` with that key."""
    known = _finders.by_type.setdefault(type, [])
    if finder not in known:
        known.append(finder)


def register_reader(type: str, reader: Reader) -> None:
    """Let `reader(pk, by)` answer what is read of the object of `type` with that key."""
    known = _finders.readers.setdefault(type, [])
    if reader not in known:
        known.append(reader)


def readings(type: str, pk: int, *, by: Any) -> list[Reading]:
    """Return who reads what of an object; what `by` may not see has no name."""
    return [found for reader in _finders.readers.get(type, []) for found in reader(pk, by)]


def find(type: str, pk: int, *, by: Any) -> Found:
    """Return all uses of an object that `by` may see, plus a count of the rest."""
    answers: Iterable[Found] = [finder(pk, by) for finder in _finders.by_type.get(type, [])]
    visible = tuple(use for answer in answers for use in answer.visible)
    return Found(visible, sum(answer.hidden for answer in answers))


def refuse_if_used(type: str, pk: int, *, by: Any, force: bool) -> Found:
    """Return the uses of an object that shall be put away. Raises InUse with their names, unless `force`."""
    found = find(type, pk, by=by)
    if found.total and not force:
        raise InUse(found.in_words())
    return found
