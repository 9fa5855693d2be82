"""Grouping faults: exceptions that the panel logs, and failures of steps. Named in the settings of logging.

A handler only puts what it saw into a queue; a thread of its own writes, so that a request that failed with its
transaction broken still leaves its trace, and a database that is down costs nobody time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import re
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from django.db import connection

from mcp_site.core import clock
from mcp_site.core.documents import canonical

FRAMES = 12
# More than so many at once are one trouble, of which enough is known.
WAITING = 1000
_ROOT = Path(__file__).resolve().parent.parent
# What differs between two faults of one sort: numbers, ids, quoted values.
_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"")

_UPSERT = """
insert into monitoring_faults
  (fingerprint, source, title, message, trace, definition_id, count, runs, last_run_id, first_seen, last_seen)
values (%s, %s, %s, %s, %s::jsonb, %s, 1, %s, %s, %s, %s)
on conflict (fingerprint) do update set count = monitoring_faults.count + 1,
  runs = monitoring_faults.runs + excluded.runs, message = excluded.message, trace = excluded.trace,
  last_run_id = coalesce(excluded.last_run_id, monitoring_faults.last_run_id),
  last_seen = greatest(monitoring_faults.last_seen, excluded.last_seen)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One fault. `alike` is what makes it the same sort as another."""

    source: str
    title: str
    message: str
    alike: tuple[str, ...]
    at: datetime
    trace: tuple[str, ...] = ()
    definition_id: int | None = None
    run_id: int | None = None


def seen_in_run(*, error_class: str, message: str, definition_id: int | None, run_id: int, at: datetime) -> Seen:
    """Return the failure of a step, whose message its attempt has masked already."""
    alike = ("run", str(definition_id), error_class, _VARYING.sub("…", message)[:500])
    return Seen("run", error_class, message, alike, at, definition_id=definition_id, run_id=run_id)


def write(faults: Iterable[Seen]) -> None:
    """Count faults into their groups. One statement each."""
    with connection.cursor() as cursor:
        for one in faults:
            cursor.execute(
                _UPSERT,
                [
                    hashlib.sha256(canonical(list(one.alike))).hexdigest(),
                    one.source,
                    one.title[:200],
                    one.message.replace("\x00", "")[:500],
                    canonical(list(one.trace)).decode(),
                    one.definition_id,
                    int(one.run_id is not None),
                    one.run_id,
                    one.at,
                    one.at,
                ],
            )


_waiting: queue.Queue[Seen] = queue.Queue(WAITING)


def begin() -> None:
    """Have a thread write what is seen, as it comes. Processes that serve call this once; commands have no need."""
    threading.Thread(target=_write_for_ever, name="fault-writer", daemon=True).start()


def _write_for_ever() -> None:
    while True:
        first = _waiting.get()
        # Nothing may end this thread, and the log, where the fault came from, has it.
        with contextlib.suppress(Exception):
            write([first, *_rest()])
        # Faults are rare: no connection is kept for them.
        connection.close()


def flush() -> None:
    """Write what has been seen so far, here and now."""
    write(_rest())


def _rest() -> list[Seen]:
    found = []
    while True:
        try:
            found.append(_waiting.get_nowait())
        except queue.Empty:
            return found


class FaultHandler(logging.Handler):
    """Takes what is logged with an exception."""

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the exception; a handler never raises."""
        if not record.exc_info or record.exc_info[0] is None:
            return
        try:
            kind, _, trace = record.exc_info
            _waiting.put_nowait(_seen(record, kind, trace))
        except queue.Full:
            # Enough is known of what goes on.
            return
        except Exception:  # noqa: BLE001  logging must not break what it logs
            self.handleError(record)


def _seen(record: logging.LogRecord, kind: type[BaseException], trace: TracebackType | None) -> Seen:
    frames = traceback.extract_tb(trace)[-FRAMES:]
    shown = tuple(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    # Without line numbers: an edit above must not make it another fault.
    places = [f"{_short(frame.filename)} {frame.name}" for frame in frames]
    title = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return Seen("panel", title, record.getMessage(), ("panel", title, *places), clock.now(), shown)


def _short(path: str) -> str:
    """Return a path as it is the same on every machine."""
    text = str(path)
    if text.startswith(str(_ROOT)):
        text = text[len(str(_ROOT)) + 1 :]
    return text.partition("site-packages/")[2] or text.rpartition("/lib/")[2] or text
