"""Cuts what a child prints into lines, within limits, and finds the few lines that speak to the panel."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

LINE_BYTES = 16 * 1024
TOTAL_BYTES = 4 * 1024 * 1024
PROGRESS = re.compile(r"::progress\s+(\d+(?:\.\d*)?|\.\d+)(?:\s+(.*))?")
METRIC = re.compile(r"::metric\s+([A-Za-z_][\w.\-/]{0,99})\s*=\s*(\S+)")
PROGRESS_CHARS = 500


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears a child: its log, its progress, its metrics."""

    log: Callable[[str, str], None]
    progress: Callable[[float | None, str], None]
    metric: Callable[[str, float], None]


@dataclass(slots=True)
class Budget:
    """Bytes of log that are left to one attempt, over both streams."""

    left: int = TOTAL_BYTES
    told: bool = False


@dataclass(slots=True)
class Stream:
    """One stream of a child. Lines that come together are handed on together."""

    name: str
    listener: Listener
    budget: Budget
    _rest: bytearray = field(default_factory=bytearray)
    # The line that is being read was longer than a line may be: what follows up to its end is dropped.
    _cutting: bool = False

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; hand on the whole lines among them."""
        lines: list[str] = []
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._append(piece)
            self._end_line(lines)
        self._append(rest)
        self._hand_on(lines)

    def close(self) -> None:
        """Hand on a last line that has no end."""
        lines: list[str] = []
        if self._rest:
            self._end_line(lines)
        self._hand_on(lines)

    def _append(self, piece: bytes) -> None:
        room = LINE_BYTES - len(self._rest)
        self._rest += piece[:room]
        self._cutting = self._cutting or len(piece) > room

    def _end_line(self, lines: list[str]) -> None:
        # NUL cannot be stored in a text column.
        text = self._rest.decode(errors="replace").rstrip("\r").replace("\0", "\ufffd")
        if self._cutting:
            text += f" … [cut: a line may have {LINE_BYTES:,} bytes]"
        self._rest.clear()
        self._cutting = False
        if self.name == "stdout" and text.startswith("::") and self._speaks(text):
            return
        lines.append(text + "\n")

    def _speaks(self, text: str) -> bool:
        if found := PROGRESS.fullmatch(text.rstrip()):
            fraction = float(found[1])
            if fraction <= 1:
                self.listener.progress(fraction, (found[2] or "")[:PROGRESS_CHARS])
                return True
        elif found := METRIC.fullmatch(text.rstrip()):
            try:
                value = float(found[2])
            except ValueError:
                return False
            if math.isfinite(value):
                self.listener.metric(found[1], value)
                return True
        return False

    def _hand_on(self, lines: list[str]) -> None:
        kept: list[str] = []
        for line in lines:
            self.budget.left -= len(line.encode())
            if self.budget.left < 0:
                break
            kept.append(line)
        if kept:
            self.listener.log(self.name, "".join(kept))
        if self.budget.left < 0 and not self.budget.told:
            self.budget.told = True
            self.listener.log("system", f"The log ends here: an attempt may print {TOTAL_BYTES:,} bytes.\n")
