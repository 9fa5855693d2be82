"""The panel's clock: functions that are called every so often, in any process, by one of them at a time.

Each worker and each web process runs one tick thread, and `manage.py tick` runs it alone. A tick takes a
PostgreSQL advisory lock by its name, so any number of processes may run it and one at a time does the work.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, close_old_connections, connection, transaction

logger = logging.getLogger(__name__)

# A tick's function may return the seconds until it wants to be called again, if sooner than `every`.
Function = Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """One thing to do: its name (also its lock), how often in seconds, and what."""

    name: str
    every: float
    function: Function


_ticks: dict[str, Tick] = {}


def register(name: str, every: float, function: Function) -> None:
    """Have `function` called about every `every` seconds, by one process at a time."""
    _ticks[name] = Tick(name, every, function)


def names() -> list[str]:
    """Return the names of the registered ticks."""
    return list(_ticks)


def run_once(name: str) -> float | None:
    """Do one tick now if no other process is at it. Returns the seconds after which it wants to run again."""
    tick = _ticks[name]
    key = zlib.crc32(f"tick:{name}".encode())
    with connection.cursor() as cursor:
        # A session lock, not a transaction's: the function opens transactions of its own.
        cursor.execute("select pg_try_advisory_lock(%s)", [key])
        if not cursor.fetchone()[0]:
            return None
        try:
            return tick.function()
        finally:
            cursor.execute("select pg_advisory_unlock(%s)", [key])


class TickThread(threading.Thread):
    """Calls every registered tick when it is due, until told to stop."""

    def __init__(self) -> None:
        super().__init__(name="ticks", daemon=True)
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Ask the thread to end after the tick at hand."""
        self._stop_asked.set()

    def run(self) -> None:
        """Loop over the ticks; a failing one is logged and tried again at its next turn."""
        due = dict.fromkeys(_ticks, time.monotonic())
        while not self._stop_asked.is_set():
            for name, tick in _ticks.items():
                if due.setdefault(name, 0.0) <= time.monotonic() and not self._stop_asked.is_set():
                    wish = self._turn(name)
                    due[name] = time.monotonic() + (tick.every if wish is None else min(tick.every, max(0.05, wish)))
            self._stop_asked.wait(max(0.02, min(due.values(), default=1.0) - time.monotonic()))
        connection.close()

    def _turn(self, name: str) -> float | None:
        try:
            close_old_connections()
            return run_once(name)
        except DatabaseError:
            logger.warning("tick %s: the database did not answer; next try at its next turn", name)
            connection.close()
        except Exception:
            logger.exception("tick %s failed", name)
            if transaction.get_connection().needs_rollback:
                connection.close()
        return None
