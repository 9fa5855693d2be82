"""Live events: their shape, the only publishing of them, and following a run without gap or duplicate.

Rows come first: the engine's statements write numbered events, and what is published afterwards only spares
watchers from reading them. `follow` joins, replays from the rows, then streams, dropping what it has by number.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import close_old_connections

from mcp_site.core import live
from workflows.models import Event, LogChunk
from workflows.states import RUN_TERMINAL

Result = TypeVar("Result")
PAGE = 500
HEARTBEAT = 15.0
# A watcher looks at the rows this often even if nothing was published: the net under a lost message.
LOOK = 5.0
TERMINAL_KINDS = frozenset(f"run.{state}" for state in RUN_TERMINAL)
# Reading rows for watchers: few threads, each with one database connection, however many watchers there are.
_readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="event-reader")


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing for a watcher: a numbered `event`, a `log` chunk without number, or a heartbeat (`name` empty)."""

    name: str
    data: Mapping[str, Any]
    number: int | None = None


class Halt:
    """Ends a follower from outside: `set` it, and what it holds stops at its next breath, which is now."""

    def __init__(self) -> None:
        self.is_set = False
        self._feed: live.Feed | None = None

    def wakes(self, feed: live.Feed) -> None:
        """Remember whom to wake."""
        self._feed = feed

    def set(self) -> None:
        """End the follower. Call it in the follower's event loop."""
        self.is_set = True
        if self._feed is not None:
            self._feed.drop()


def encode(event: Event) -> dict[str, Any]:
    """Return the shape of an event on the wire: {number, at, kind, step, index, attempt, data}."""
    return {
        "number": event.number,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "step": event.step,
        "index": event.index,
        "attempt": event.attempt,
        "data": event.data or {},
    }


def _shape(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("number", "at", "kind", "step", "index", "attempt")
    return {name: row.get(name) for name in names} | {"data": row.get("data") or {}}


def announce(run: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Publish events that were just committed, to the run's watchers and those of all runs."""
    shaped = [_shape(row) for row in rows]
    live.publish(f"run:{run}", json.dumps({"events": shaped}))
    of_the_run = [event for event in shaped if event["kind"].startswith("run.")]
    if of_the_run:
        live.publish("runs", json.dumps({"run": run, "kind": of_the_run[-1]["kind"]}))


def announce_log(run: int, chunk: Mapping[str, Any]) -> None:
    """Publish lines that an attempt wrote; they have no number, and the rows hold them."""
    live.publish(f"run:{run}", json.dumps({"log": chunk}))


def read(run: int, after: int, limit: int = PAGE) -> list[dict[str, Any]]:
    """Return the run's events after number `after`, ascending, at most `limit`."""
    return [encode(event) for event in Event.objects.filter(run_id=run, number__gt=after).order_by("number")[:limit]]


def encode_log(chunk: LogChunk) -> dict[str, Any]:
    """Return the shape of a log chunk on the wire."""
    return {
        "step": chunk.step,
        "index": chunk.index,
        "attempt": chunk.attempt,
        "number": chunk.number,
        "at": chunk.at.isoformat(),
        "stream": chunk.stream,
        "text": chunk.text,
    }


def _with_connection(read: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    close_old_connections()
    try:
        return read(*args)
    finally:
        close_old_connections()


async def read_aside(read: Callable[..., Result], *args: Any) -> Result:
    """Return what `read` returns, called in one of the few threads that read rows for watchers."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _with_connection, read, args)


async def follow(run: int, after: int = 0, halt: Halt | None = None) -> AsyncIterator[Frame]:
    """Yield the run's events after number `after` and its log as it comes, until the run's last event or a halt.

    Heartbeats come when nothing else did for 15 s. A run that had ended before yields its rows and ends.
    """
    last = after
    quiet = 0.0
    halt = halt or Halt()
    async with live.subscribe(f"run:{run}") as feed:
        halt.wakes(feed)
        fresh = await read_aside(read, run, last)
        while not halt.is_set:
            for event in fresh:
                if event["number"] > last:
                    last = event["number"]
                    yield Frame("event", event, last)
                    if event["kind"] in TERMINAL_KINDS:
                        return
            if len(fresh) == PAGE:
                fresh = await read_aside(read, run, last)
                continue
            text = await feed.get(LOOK)
            if text is None:
                quiet += LOOK
                if quiet >= HEARTBEAT:
                    quiet = 0.0
                    yield Frame("", {})
                fresh = await read_aside(read, run, last)
                continue
            quiet = 0.0
            message: dict[str, Any] = json.loads(text) if text else {"events": None}
            if "log" in message:
                fresh = []
                yield Frame("log", message["log"])
                continue
            fresh = message["events"] or []
            if not fresh or fresh[0]["number"] > last + 1:
                # Something was missed; the rows have it.
                fresh = await read_aside(read, run, last)


async def follow_all(halt: Halt) -> AsyncIterator[Mapping[str, Any] | None]:
    """Yield `{run, kind}` whenever any run changes state, and None as a heartbeat, until the halt."""
    async with live.subscribe("runs") as feed:
        halt.wakes(feed)
        while not halt.is_set:
            text = await feed.get(HEARTBEAT)
            yield json.loads(text) if text else None
