"""Contexts of attempts made by hand, and what was heard while they ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from definitions import kinds


@dataclass
class Heard:
    """Everything that an attempt emitted, in order."""

    logs: list[tuple[str, str]] = field(default_factory=list)
    progress: list[tuple[float | None, str]] = field(default_factory=list)
    metrics: list[tuple[str, float]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def emit(self) -> kinds.Emit:
        """Return the ways in which it is heard."""
        return kinds.Emit(
            log=lambda stream, text: self.logs.append((stream, text)),
            progress=lambda fraction, text: self.progress.append((fraction, text)),
            metric=lambda name, value: self.metrics.append((name, value)),
            token=self.tokens.append,
        )

    def text(self, stream: str) -> str:
        """Return all that was logged on a stream."""
        return "".join(text for name, text in self.logs if name == stream)


def context(
    kind: kinds.Kind,
    config: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    heard: Heard | None = None,
    folder: Path = Path("/nonexistent"),
    **rest: Any,
) -> kinds.Context:
    """Return a context of `kind` for one attempt."""
    return kinds.Context(
        config=kind.Config.model_validate(dict(config)),
        inputs=inputs or {},
        folder=lambda: folder,
        emit=(heard or Heard()).emit(),
        **rest,
    )
