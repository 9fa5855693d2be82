"""Tables of plug-ins: an explicit list of dotted paths, loaded on first use, plus an entry-point group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownPlugin(LookupError):
    """No plug-in of that name is installed."""


class Registry(Generic[T]):
    """Plug-ins of one sort by name.

    `builtin` maps a name to `module:Class`; packages of third parties add theirs by the entry-point
    `group`. A class is imported when it is first asked for, and made once (plug-ins hold no state of a call).
    A built-in name can't be taken over by an entry point.
    """

    def __init__(self, builtin: Mapping[str, str], group: str) -> None:
        self._builtin = dict(builtin)
        self._group = group
        self._loaded: dict[str, T] = {}

    @cached_property
    def _targets(self) -> dict[str, str]:
        found = {point.name: point.value for point in entry_points(group=self._group)}
        return found | self._builtin

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def get(self, name: str) -> T:
        """Return the plug-in called `name`. Raises UnknownPlugin."""
        if name not in self._loaded:
            if name not in self._targets:
                raise UnknownPlugin(name)
            module, _, attribute = self._targets[name].partition(":")
            self._loaded[name] = getattr(import_module(module), attribute)()
        return self._loaded[name]

    def all(self) -> list[T]:
        """Return every plug-in, in the order of the table."""
        return [self.get(name) for name in self]
