"""Ending a query on the server when it is cancelled or out of time, whatever the driver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from connections.connectors.base import ConnectorFailed

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0


class Watch:
    """Watches one query from a thread of its own.

    `cancel` asks the server to end the query and says whether it was heard; `cut` ends the wait of the thread that
    reads, whatever the network does. Neither may raise.
    """

    def __init__(
        self, timeout: float, cancelled: Callable[[], bool], *, cancel: Callable[[], bool], cut: Callable[[], None]
    ) -> None:
        self._timeout, self._cancelled = timeout, cancelled
        self._cancel, self._cut = cancel, cut
        self._deadline = monotonic() + timeout
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="query-watch", daemon=True)
        self.reason: str = ""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Raise ConnectorFailed (`cancelled`, `timeout`) if the query was to end; call it between fetches."""
        reason = self.reason or self._due()
        if reason == "cancelled":
            raise ConnectorFailed("The query was cancelled.", code="cancelled")
        if reason == "timeout":
            raise ConnectorFailed(f"The query did not end within {self._timeout:g} s.", code="timeout")

    def _due(self) -> str:
        if self._cancelled():
            return "cancelled"
        return "timeout" if monotonic() >= self._deadline else ""

    def _run(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            self.reason = self._due()
            if self.reason:
                break
        cut_at = monotonic() + _GRACE_SECONDS
        # Again and again: a cancel that arrives between two statements is forgotten by the server.
        while self.reason and not self._done.is_set():
            if not self._cancel() or monotonic() > cut_at:
                self._cut()
            self._done.wait(1.0)
