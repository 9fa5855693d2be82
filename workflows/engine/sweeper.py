"""The net under everything that was lost: leases, wake-ups, bells. A tick; any number of processes may run it."""

from __future__ import annotations

import time

from workflows import executors
from workflows.engine import approvals, children, slots, transitions

# A queue that nobody serves is rung for ever less often: its bells stay with the broker until somebody does.
SHORTEST, LONGEST = 2.0, 60.0


class Patience:
    """When to ring again for queues whose ready steps nobody takes."""

    def __init__(self) -> None:
        self._again: dict[str, tuple[float, float]] = {}

    def due(self, late: list[str], now: float) -> list[str]:
        """Return which of the `late` queues to ring for at `now` (seconds); each pause is twice the one before."""
        found = {}
        rings = []
        for queue in late:
            at, pause = self._again.get(queue, (now, SHORTEST))
            if at <= now:
                rings.append(queue)
                at, pause = now + pause, min(LONGEST, pause * 2)
            found[queue] = (at, pause)
        self._again = found
        return rings


_patience = Patience()


def sweep() -> float | None:
    """Take back what lost workers held, end and wake what is due, ring for what nobody took.

    Returns the seconds to the next wake-up that is known of.
    """
    due, late = transitions.sweep()
    approvals.sweep()
    slots.sweep()
    children.sweep()
    executors.get("celery").ring(_patience.due(late, time.monotonic()))
    return due
