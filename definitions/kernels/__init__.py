"""Running a notebook in a child kernel: the words of it here, its cells in `cells`, the kernel in `session`.

`session` is imported where a notebook is run, not before: it brings nbclient and ZeroMQ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: The MIME type under which `mcp.output(value)` hands its value over.
OUTPUT_MIME = "application/vnd.mcp.output+json"


class Stopped(Exception):
    """The notebook was told to stop and did."""


class NotebookFailed(Exception):
    """The notebook did not come to its end; `failure` is the class of the failure, `detail` is JSON."""

    def __init__(
        self,
        failure: Literal["user_error", "timeout", "killed"],
        message: str,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.detail = dict(detail or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A notebook to execute, with everything that its kernel may have."""

    notebook: Mapping[str, Any]
    kernel: str
    # Where the kernel works; and a folder of ours for its sockets and its own messages.
    cwd: Path
    private: Path
    environment: Mapping[str, str] = field(repr=False)
    timeout: float | None = None
    timeout_per_cell: float | None = None
    allow_errors: bool = False
    cancelled: Callable[[], bool] = lambda: False
    on_log: Callable[[str, str], None] = lambda _stream, _text: None
    on_progress: Callable[[float | None, str], None] = lambda _fraction, _text: None


@dataclass(slots=True, kw_only=True)
class Ended:
    """How it ended: the notebook as far as it came, the values given to `mcp.output`, what the kernel used."""

    notebook: Any
    values: list[Any] = field(default_factory=list)
    error: Stopped | NotebookFailed | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
