"""A run's events as Server-Sent Events: a thin shell over `events.follow`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from django.db import close_old_connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from workflows import events
from workflows.models import Run

# What a browser waits before it reconnects, in milliseconds.
RETRY = 1000


def _frame(frame: events.Frame) -> str:
    if not frame.name:
        return ": alive\n\n"
    name = "message" if frame.name == "event" else frame.name
    number = f"id: {frame.number}\n" if frame.number is not None else ""
    return f"{number}event: {name}\ndata: {json.dumps(frame.data)}\n\n"


async def _frames(run: int, after: int) -> AsyncIterator[str]:
    yield f"retry: {RETRY}\n\n"
    async for frame in events.follow(run, after):
        yield _frame(frame)


def stream(run: Run, after: int) -> HttpResponseBase:
    """Answer with the events of `run` after number `after`, live; 204 when there is nothing left to come.

    204 is what ends a browser's EventSource, which reconnects after every other end.
    """
    if run.is_terminal and after >= run.events:
        return HttpResponse(status=204)
    # This thread's part is over, while its request goes on for as long as the client follows.
    close_old_connections()
    response = StreamingHttpResponse(_frames(run.pk, after), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response
