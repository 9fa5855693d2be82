"""A run's events as Server-Sent Events: a thin shell over `events.follow`, and the guard over all open streams."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from accounts import callers
from accounts.callers import Caller
from accounts.models import User
from workflows import events
from workflows.events import Halt
from workflows.models import Run

# What a browser waits before it reconnects, in milliseconds.
RETRY = 1000

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Open:
    """An open stream: who follows, which run (None: all), and how to end it."""

    caller: Caller
    run: int | None
    halt: Halt = field(default_factory=Halt)


class _Guard:
    """Asks every two seconds whether those who follow still may, for all streams of an event loop together."""

    def __init__(self) -> None:
        self.open: set[_Open] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, stream: _Open) -> None:
        self.open.add(stream)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while self.open:
            await asyncio.sleep(callers.CHECK_EVERY)
            now = list(self.open)
            for stream in await events.read_aside(_ended, now):
                stream.halt.set()


def _ended(streams: Iterable[_Open]) -> list[_Open]:
    """Return those whose caller may not go on, or may not see the run any more."""
    try:
        dead = callers.dead(stream.caller for stream in streams)
        wanted: dict[int, set[int]] = defaultdict(set)
        for stream in streams:
            if stream.caller not in dead and stream.run is not None:
                wanted[stream.caller.user].add(stream.run)
        people = User.objects.in_bulk(wanted)
        seen = {
            (user, run)
            for user, runs in wanted.items()
            if user in people
            for run in Run.objects.visible_to(people[user]).filter(pk__in=runs).values_list("pk", flat=True)
        }
        return [
            stream
            for stream in streams
            if stream.caller in dead or (stream.run is not None and (stream.caller.user, stream.run) not in seen)
        ]
    except DatabaseError:
        # Nobody can be asked now; what streams could show comes from there too.
        logger.warning("open streams could not be checked: the database did not answer")
        return []


_guards: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Guard] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def guarded(caller: Caller, run: int | None) -> AsyncIterator[Halt]:
    """Give a halt that is set when `caller` may no longer follow `run` (None: runs at all)."""
    loop = asyncio.get_running_loop()
    guard = _guards.get(loop)
    if guard is None:
        guard = _guards[loop] = _Guard()
    stream = _Open(caller, run)
    guard.add(stream)
    try:
        yield stream.halt
    finally:
        guard.open.discard(stream)


def _frame(frame: events.Frame) -> str:
    if not frame.name:
        return ": alive\n\n"
    name = "message" if frame.name == "event" else frame.name
    number = f"id: {frame.number}\n" if frame.number is not None else ""
    return f"{number}event: {name}\ndata: {json.dumps(frame.data)}\n\n"


async def _frames(run: int, after: int, caller: Caller) -> AsyncIterator[str]:
    yield f"retry: {RETRY}\n\n"
    async with guarded(caller, run) as halt:
        async for frame in events.follow(run, after, halt):
            yield _frame(frame)


def stream(run: Run, after: int, caller: Caller) -> HttpResponseBase:
    """Answer `caller` with the events of `run` after number `after`, live; 204 when there is nothing left to come.

    204 is what ends a browser's EventSource, which reconnects after every other end.
    """
    if run.is_terminal and after >= run.events:
        return HttpResponse(status=204)
    # This thread's part is over, while its request goes on for as long as the client follows.
    close_old_connections()
    response = StreamingHttpResponse(_frames(run.pk, after, caller), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
