"""Asking upwards who uses a thing, without importing those who might.

An app registers a finder for a type in its `ready()`; a lower app asks before it archives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


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


Finder = Callable[[int, Any], Found]


@dataclass
class _Finders:
    by_type: dict[str, list[Finder]] = field(default_factory=dict)


_finders = _Finders()


def register(type: str, finder: Finder) -> None:
    """Let `finder(pk, by)` answer who uses the object of `type` with that key."""
    known = _finders.by_type.setdefault(type, [])
    if finder not in known:
        known.append(finder)


def find(type: str, pk: int, *, by: Any) -> Found:
    """Return all uses of an object that `by` may see, plus a count of the rest."""
    answers: Iterable[Found] = [finder(pk, by) for finder in _finders.by_type.get(type, [])]
    visible = tuple(use for answer in answers for use in answer.visible)
    return Found(visible, sum(answer.hidden for answer in answers))
