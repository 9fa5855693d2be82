"""What a worker process holds: its attempts, whether each must stop and why, and what they say meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError

from mcp_site.core.masking import Masker
from workflows import events
from workflows.engine import transitions
from workflows.engine.transitions import Taken
from workflows.models import LogChunk

logger = logging.getLogger(__name__)

MAX_LOG_BYTES = 5 * 1024 * 1024
MAX_CHUNK = 64 * 1024
MAX_METRICS = 200
PROGRESS_EVERY = 1.0


@dataclass
class _Speech:
    """What an attempt has said and nobody has heard yet."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    written: int = 0
    capped: bool = False
    progress: dict[str, Any] | None = None
    progress_at: float = 0.0
    metrics: list[dict[str, Any]] = field(default_factory=list)
    metrics_seen: int = 0


class Hold:
    """One attempt in this process. Thread-safe: user code's readers speak, the pulse thread listens."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.masker = Masker()
        self.cancelled = False  # the run is being cancelled
        self.lost = False  # the lease is gone: whatever comes of it counts for nothing
        self.handed_back = False  # the worker is going: another shall do it
        self.renewed = time.monotonic()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._speech = _Speech()
        self._chunks = 0

    def must_stop(self) -> bool:
        """Tell whether the attempt should end now, whatever the reason."""
        return self.cancelled or self.lost or self.handed_back

    def log(self, stream: str, text: str) -> None:
        """Take whole lines of `stream`, up to a cap per attempt that is said in the log."""
        text = self.masker.text(text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
        with self._lock:
            speech = self._speech
            if speech.capped:
                return
            speech.written += len(text)
            if speech.written > MAX_LOG_BYTES:
                speech.capped = True
                stream, text = "system", f"[the log of this attempt ends here: it is over {MAX_LOG_BYTES} bytes]\n"
            speech.pieces.append((stream, text.encode("utf-8", "replace").decode()))

    def progress(self, fraction: float | None, text: str) -> None:
        """Take how far the attempt is; the newest word counts."""
        with self._lock:
            clean = self.masker.text(text.replace("\x00", ""))[:300].encode("utf-8", "replace").decode()
            bounded = None if fraction is None or fraction != fraction else min(1.0, max(0.0, fraction))
            self._speech.progress = {"fraction": bounded, "text": clean}

    def metric(self, name: str, value: float) -> None:
        """Take a measure that the attempt made, up to a cap."""
        with self._lock:
            self._speech.metrics_seen += 1
            if self._speech.metrics_seen <= MAX_METRICS and value == value and abs(value) != float("inf"):
                self._speech.metrics.append({"metric": name[:100], "value": value})

    def token(self, text: str) -> None:
        """Take a piece of an answer that is being written."""
        self.log("token", text)

    def flush(self, *, last: bool = False) -> None:
        """Store and announce what was said. Never raises: a log must not fail the work that it tells of."""
        with self._writing:
            with self._lock:
                speech = self._speech
                pieces, speech.pieces = speech.pieces, []
                metrics, speech.metrics = speech.metrics, []
                progress = None
                if speech.progress and (last or time.monotonic() - speech.progress_at >= PROGRESS_EVERY):
                    progress, speech.progress = speech.progress, None
                    speech.progress_at = time.monotonic()
            try:
                self._write(pieces)
                if progress is not None:
                    transitions.note(self.taken, "step.progress", progress)
                for metric in metrics:
                    transitions.note(self.taken, "step.note", metric)
            except DatabaseError:
                logger.warning("run %s step %s: some of its log was not stored", self.taken.run, self.taken.key)

    def _write(self, pieces: list[tuple[str, str]]) -> None:
        chunks = []
        for stream, text in _joined(pieces):
            self._chunks += 1
            chunks.append(
                LogChunk(
                    run_id=self.taken.run,
                    n=self.taken.n,
                    attempt=self.taken.attempt,
                    number=self._chunks,
                    step=self.taken.key,
                    index=self.taken.index,
                    stream=stream,
                    text=text,
                )
            )
        if chunks:
            for chunk in LogChunk.objects.bulk_create(chunks):
                events.announce_log(self.taken.run, events.encode_log(chunk))


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join neighbours of one stream, up to the size of a chunk."""
    joined: list[tuple[str, str]] = []
    for stream, text in pieces:
        for start in range(0, len(text), MAX_CHUNK):
            part = text[start : start + MAX_CHUNK]
            if joined and joined[-1][0] == stream and len(joined[-1][1]) + len(part) <= MAX_CHUNK:
                joined[-1] = (stream, joined[-1][1] + part)
            else:
                joined.append((stream, part))
    return joined
