"""A worker process: it claims, carries out and completes steps in the threads that Celery gives it.

One pulse thread stands beside them: it renews all leases in one statement, hears of cancels, and stores what
attempts say. A worker that could not renew in time stops its attempts by itself.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from mcp_site.core.ids import uuid7
from workflows import executors
from workflows.engine import execute, transitions
from workflows.engine.holds import Hold
from workflows.engine.transitions import Claimed, End, Taken

logger = logging.getLogger(__name__)

# Short steps that are claimed and completed together, and for how long a batch may be carried out before it is.
BATCH = 16
BATCH_SECONDS = 0.005
# A bell is answered for so long; then the worker rings for itself, so that others get their turn.
TURN = 1.0
PULSE = 0.1
BEAT = 1.0
# How long a stopping worker lets attempts finish before it hands them back.
GRACE = 3.0


class Worker:
    """This process as the database knows it: a name that is never used again, and the queues it serves."""

    def __init__(self, queues: list[str], lease: float) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid7().hex[-8:]}"
        self.queues = queues
        self.lease = lease
        self.retiring = threading.Event()
        self._stopped = threading.Event()
        self._handing_back = False
        self._held: dict[int, Hold] = {}
        self._lock = threading.Lock()
        self._pulse: threading.Thread | None = None

    def work(self, queue: str) -> int:
        """Answer a bell for `queue`: claim, carry out, complete, until nothing is ready. Returns the attempts made."""
        close_old_connections()
        try:
            return self._work(queue)
        finally:
            close_old_connections()

    def _work(self, queue: str) -> int:
        queues = self.queues or [queue]
        if queue not in queues:
            queues = [*queues, queue]
        until = time.monotonic() + TURN
        done = 0
        claimed = self._claim(queues)
        while claimed.taken:
            if not claimed.taken[0].short:
                # This thread is busy for a while; whoever is free should look whether there is more.
                executors.get("celery").ring([queue])
            take = 0 if self.retiring.is_set() or time.monotonic() > until else BATCH
            claimed, ended = self._carry_out(claimed.taken, queues, take)
            done += ended
            if take == 0 and not claimed.taken:
                executors.get("celery").ring(queues if not self.retiring.is_set() else [])
                break
            if not claimed.taken and claimed.hot is not None:
                claimed = transitions.claim(queues, self.name, BATCH, self.lease, claimed.hot)
        return done

    def _claim(self, queues: list[str]) -> Claimed:
        if self.retiring.is_set():
            return Claimed(())
        claimed = transitions.claim(queues, self.name, BATCH, self.lease)
        if not claimed.taken and claimed.hot is not None:
            claimed = transitions.claim(queues, self.name, BATCH, self.lease, claimed.hot)
        return claimed

    def _carry_out(self, taken: tuple[Taken, ...], queues: list[str], take: int) -> tuple[Claimed, int]:
        """Carry out steps that were taken together and complete them, now and then for those that are done."""
        holds = [self._hold(one) for one in taken]
        ends: list[End] = []
        started = time.monotonic()
        claimed = Claimed(())
        try:
            for place, hold in enumerate(holds):
                end = execute.carry_out(hold, self.name)
                if not hold.taken.short:
                    hold.flush(last=True)
                if end is not None:
                    ends.append(end)
                if place == len(holds) - 1:
                    claimed = self._complete(ends, queues, take)
                elif ends and time.monotonic() - started > BATCH_SECONDS:
                    self._complete(ends, queues, 0)
                    ends, started = [], time.monotonic()
        finally:
            with self._lock:
                for hold in holds:
                    self._held.pop(hold.taken.id, None)
        for hold in holds:
            if hold.taken.short:
                hold.flush(last=True)
        return claimed, len(holds)

    def _complete(self, ends: list[End], queues: list[str], take: int) -> Claimed:
        """Complete, again if the connection broke: the fence refuses what had been committed."""
        if not ends:
            return transitions.claim(queues, self.name, take, self.lease) if take else Claimed(())
        deadline = time.monotonic() + self.lease
        while True:
            try:
                accepted, claimed = transitions.complete(ends, self.name, queues, take, self.lease)
            except (OperationalError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
                logger.warning("the database did not take %d results; trying again", len(ends))
                connection.close()
                time.sleep(0.5)
                continue
            for end in ends:
                if (end.run, end.n) not in accepted:
                    logger.info("run %s position %s: a late result was dropped; the step is not ours", end.run, end.n)
            return claimed

    def _hold(self, taken: Taken) -> Hold:
        hold = Hold(taken)
        with self._lock:
            # Taken just before the worker was told to hand back what it holds.
            hold.handed_back = self._handing_back
            self._held[taken.id] = hold
            if self._pulse is None or not self._pulse.is_alive():
                self._pulse = threading.Thread(target=self._beat_forever, name="pulse", daemon=True)
                self._pulse.start()
        return hold

    def _beat_forever(self) -> None:
        next_beat = 0.0
        every = min(BEAT, self.lease / 3)
        while not self._stopped.wait(PULSE):
            with self._lock:
                holds = list(self._held.values())
            try:
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + every
                    self._beat(holds)
                for hold in holds:
                    if not hold.taken.short:
                        hold.flush()
            except (OperationalError, InterfaceError):
                connection.close()
            except Exception:
                logger.exception("the pulse of %s missed a beat", self.name)
        connection.close()

    def _beat(self, holds: list[Hold]) -> None:
        for hold in holds:
            if time.monotonic() - hold.renewed > self.lease:
                hold.lost = True
        held = [(hold.taken.id, hold.taken.attempt) for hold in holds if not hold.lost]
        if not held:
            return
        asked = time.monotonic()
        answers = transitions.heartbeat(self.name, self.lease, held)
        for hold in holds:
            answer = answers.get(hold.taken.id)
            if answer == "ok":
                hold.renewed = asked
            elif answer == "cancel":
                hold.renewed, hold.cancelled = asked, True
            elif answer == "lost":
                hold.lost = True

    def retire(self) -> None:
        """Claim nothing more; after a grace, hand back what still runs."""
        if not self.retiring.is_set():
            self.retiring.set()
            later = threading.Timer(GRACE, self._hand_back)
            # An idle worker need not wait for it.
            later.daemon = True
            later.start()

    def _hand_back(self) -> None:
        with self._lock:
            self._handing_back = True
            for hold in self._held.values():
                hold.handed_back = True

    def stop(self) -> None:
        """Hand back what still runs, and end the pulse."""
        self.retiring.set()
        self._hand_back()
        self._stopped.set()
        if self._pulse is not None:
            self._pulse.join()


_lock = threading.Lock()
_current: Worker | None = None


def current() -> Worker:
    """Return the worker that this process is; it becomes one when it is first asked to work."""
    global _current
    with _lock:
        if _current is None:
            _current = Worker([], settings.MCP_LEASE_SECONDS)
        return _current
