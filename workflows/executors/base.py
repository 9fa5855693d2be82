"""The contract of an executor: it is told that queues have work, and sees to it that somebody looks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar


class Executor(ABC):
    """Rings for workers. The steps themselves lie in the database; a lost ring costs one sweep."""

    name: ClassVar[str]

    @abstractmethod
    def ring(self, queues: Iterable[str]) -> None:
        """Say that these queues have ready steps. Returns at once and never raises."""
