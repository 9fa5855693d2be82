"""The same events over WebSocket: one run, or all that the caller may see."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.authentication import caller_of_socket
from accounts.callers import Caller
from accounts.models import User
from workflows import events
from workflows.models import Run
from workflows.stream import guarded

# Close codes of our own (RFC 6455 leaves 4000–4999 to applications): the HTTP status behind 4.
UNAUTHENTICATED, NOT_FOUND, FINISHED = 4401, 4404, 1000


class _Following(AsyncJsonWebsocketConsumer):
    """Shared by both sockets: a task that feeds the client until either side ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._task: asyncio.Task[None] | None = None

    def follow(self, coroutine: Any) -> None:
        """Feed the client from `coroutine`."""
        self._task = asyncio.create_task(coroutine)

    async def disconnect(self, code: int) -> None:
        """End the feeding."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Ignore what clients send: this is a one-way street."""


class RunConsumer(_Following):
    """`/ws/runs/<id>?after=<number>`: the events of one run; closes after its last."""

    async def connect(self) -> None:
        """Let in who may see the run; others learn only that there is none."""
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(UNAUTHENTICATED)
            return
        run = await self._find(user, self.scope["url_route"]["kwargs"]["uid"])
        if run is None:
            await self.close(NOT_FOUND)
            return
        query = dict(
            part.split("=", 1)
            for part in self.scope["query_string"].decode("ascii", "replace").split("&")
            if "=" in part
        )
        after = query.get("after", "0")
        caller = await caller_of_socket(self.scope)
        self.follow(self._feed(run, int(after) if after.isdecimal() and len(after) < 10 else 0, caller))

    @database_sync_to_async
    def _find(self, user: Any, uid: UUID) -> Run | None:
        return Run.objects.visible_to(user).filter(uid=uid).first()

    async def _feed(self, run: Run, after: int, caller: Caller) -> None:
        if run.is_terminal and after >= run.events:
            await self.close(FINISHED)
            return
        async with guarded(caller, run.pk) as halt:
            async for frame in events.follow(run.pk, after, halt):
                if frame.name:
                    await self.send_json({"type": frame.name, **frame.data})
            await self.close(UNAUTHENTICATED if halt.is_set else FINISHED)


class RunsConsumer(_Following):
    """`/ws/runs`: `{run, kind}` whenever a run that the caller may see changes state."""

    async def connect(self) -> None:
        """Let in who is signed in."""
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(UNAUTHENTICATED)
            return
        self.follow(self._feed(await caller_of_socket(self.scope)))

    @database_sync_to_async
    def _visible(self, caller: Caller, number: int) -> str | None:
        # Read anew each time: the role may have changed since.
        user = User.objects.filter(pk=caller.user).first()
        uid = user and Run.objects.visible_to(user).filter(pk=number).values_list("uid", flat=True).first()
        return str(uid) if uid else None

    async def _feed(self, caller: Caller) -> None:
        async with guarded(caller, None) as halt:
            async for change in events.follow_all(halt):
                if not change or "run" not in change:
                    continue
                uid = await self._visible(caller, change["run"])
                if uid is not None:
                    await self.send_json({"type": "run", "id": uid, "number": change["run"], "kind": change["kind"]})
            await self.close(UNAUTHENTICATED)
