"""Which due times start a run, where several have passed since somebody looked. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.schedules.cron import Cron, first, times

# A due time that is met within this is met; later it is a missed one.
GRACE = timedelta(minutes=1)
# At most so many missed times are made up for, the newest; whoever was away for a year does not start 500,000 runs.
MAX_CAUGHT_UP = 100


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done: start these (ascending), note the newest of those given up, come again at `next_at`."""

    start: tuple[datetime, ...]
    missed: datetime | None
    next_at: datetime | None


def turn(cron: Cron, due_at: datetime, now: datetime, catch_up: str) -> Turn:
    """Return what to do at `now` for a schedule that has been due since `due_at`; `catch_up`: none, last or all."""
    due = _newest(cron, due_at, now)
    met = [moment for moment in due if now - moment <= GRACE]
    if catch_up == "all":
        start = due[-MAX_CAUGHT_UP:]
    elif catch_up == "last":
        start = met or due[-1:]
    else:
        start = met
    given_up = [moment for moment in due if moment not in start]
    return Turn(tuple(start), given_up[-1] if given_up else None, first(cron, now))


def _newest(cron: Cron, due_at: datetime, now: datetime) -> list[datetime]:
    """Return the due times from `due_at` to `now`, ascending; of more than can be made up for, only the newest."""
    back = timedelta(hours=1)
    while True:
        begin = max(due_at - timedelta(microseconds=1), now - back)
        found = list(itertools.takewhile(now.__ge__, times(cron, begin)))
        if len(found) > MAX_CAUGHT_UP or begin < due_at:
            return found[-MAX_CAUGHT_UP - 1 :]
        # Look back further, but not from the beginning: a year of minutes is half a million.
        back *= 4
