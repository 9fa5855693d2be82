"""Celery as the engine's hands: a message names a queue, never a step, and is sent once per burst."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from celery import current_app
from kombu.exceptions import OperationalError

from workflows.executors.base import Executor

logger = logging.getLogger(__name__)
WORK = "workflows.work"


class CeleryExecutor(Executor):
    """Sends bells from one background thread per process, so that no completing thread waits for the broker."""

    name = "celery"

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, queues: Iterable[str]) -> None:
        """Note the queues; what is noted before the thread looks is sent as one bell a queue."""
        with self._condition:
            self._pending.update(queues)
            if not self._pending:
                return
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_forever, name="bells", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _send_forever(self) -> None:
        while True:
            with self._condition:
                while not self._pending:
                    self._condition.wait()
                queues, self._pending = self._pending, set()
            for queue in sorted(queues):
                try:
                    current_app.send_task(WORK, args=[queue], queue=queue, retry=False, ignore_result=True, expires=60)
                except (OperationalError, OSError) as exc:
                    # Nothing is lost: the sweeper rings again for ready steps that nobody took.
                    logger.warning("the broker did not take a bell for %s: %s", queue, type(exc).__name__)
