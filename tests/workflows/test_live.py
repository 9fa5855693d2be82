"""Following a run: in order, without gap or duplicate, over SSE and WebSocket alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import AsyncClient

from accounts.models import User
from mcp_site.asgi import application
from tests.conftest import bearer
from workflows import events, services
from workflows.engine.worker import Worker
from workflows.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]


async def follow(run: Run, after: int = 0) -> list[int]:
    return [frame.number async for frame in events.follow(run.pk, after) if frame.name == "event" and frame.number]


async def test_a_watcher_sees_every_event_once_whether_it_joins_before_or_after(start: Start, worker: Worker) -> None:
    steps = [{"key": f"s{i}", "needs": [f"s{i - 1}"] if i else []} for i in range(20)]
    run = await sync_to_async(start)(*steps)
    early = asyncio.create_task(follow(run))
    await asyncio.sleep(0.1)

    work = asyncio.create_task(sync_to_async(worker.work, thread_sensitive=True)("llm"))
    middle = asyncio.create_task(follow(run, 3))
    await work
    seen = await asyncio.wait_for(early, 20)

    last = (await Run.objects.aget(pk=run.pk)).events
    assert seen == list(range(1, last + 1))
    assert await asyncio.wait_for(middle, 20) == list(range(4, last + 1))
    assert await follow(run) == seen


async def test_the_stream_resumes_where_the_client_was_and_ends_with_the_run(
    start: Start, worker: Worker, ben: User
) -> None:
    run = await sync_to_async(start)({"key": "a"})
    await sync_to_async(worker.work)("llm")
    headers = {"Authorization": await sync_to_async(bearer)(ben), "Accept": "text/event-stream"}

    response: Any = await AsyncClient().get(f"/api/v1/runs/{run.uid}/events", headers={**headers, "Last-Event-ID": "4"})
    text = b"".join([part async for part in response.streaming_content]).decode()
    done = await AsyncClient().get(f"/api/v1/runs/{run.uid}/events", headers={**headers, "Last-Event-ID": "6"})

    assert text.startswith("retry: 1000\n\n")
    frames = [frame.split("\n") for frame in text.strip().split("\n\n")[1:]]
    assert [frame[0] for frame in frames] == ["id: 5", "id: 6"]
    assert all(frame[1] == "event: message" for frame in frames)
    assert json.loads(frames[-1][2].removeprefix("data: "))["kind"] == "run.succeeded"
    assert done.status_code == 204


async def test_a_stranger_gets_no_stream(start: Start, dov: User, ben: User) -> None:
    run = await sync_to_async(start)({"key": "a"})
    await sync_to_async(services.update_workflow)(by=ben, workflow=run.workflow, visibility="private")
    headers = {"Authorization": await sync_to_async(bearer)(dov), "Accept": "text/event-stream"}

    response = await AsyncClient().get(f"/api/v1/runs/{run.uid}/events", headers=headers)

    assert response.status_code == 404


def socket(path: str, user: User | None) -> WebsocketCommunicator:
    headers = [(b"authorization", bearer(user).encode())] if user else [(b"origin", b"http://localhost")]
    return WebsocketCommunicator(application, path, headers=[*headers, (b"host", b"localhost")])


async def test_a_socket_tells_the_same_events_and_closes_after_the_last(
    start: Start, worker: Worker, ben: User
) -> None:
    run = await sync_to_async(start)({"key": "a"})
    communicator = await sync_to_async(socket)(f"/ws/runs/{run.uid}?after=1", ben)
    connected, _ = await communicator.connect()
    assert connected
    await sync_to_async(worker.work)("llm")

    numbers = []
    while True:
        message = await communicator.receive_output(timeout=10)
        if message["type"] == "websocket.close":
            break
        numbers.append(json.loads(message["text"])["number"])

    assert numbers == [2, 3, 4, 5, 6]
    assert message["code"] == 1000


@pytest.mark.parametrize("who", ["nobody", "stranger"])
async def test_a_socket_closes_on_who_may_not_see_the_run(start: Start, ben: User, dov: User, who: str) -> None:
    run = await sync_to_async(start)({"key": "a"})
    await sync_to_async(services.update_workflow)(by=ben, workflow=run.workflow, visibility="private")
    communicator = await sync_to_async(socket)(f"/ws/runs/{run.uid}", dov if who == "stranger" else None)

    await communicator.connect()
    closed = await communicator.receive_output(timeout=10)

    assert closed == {"type": "websocket.close", "code": 4404 if who == "stranger" else 4401} | (
        {"reason": closed["reason"]} if "reason" in closed else {}
    )


async def test_a_foreign_page_can_not_open_a_socket_with_the_cookie(start: Start) -> None:
    run = await sync_to_async(start)({"key": "a"})
    headers = [(b"origin", b"https://evil.example"), (b"host", b"localhost")]
    communicator = WebsocketCommunicator(application, f"/ws/runs/{run.uid}", headers=headers)

    connected, _ = await communicator.connect()

    assert not connected


async def test_the_socket_of_all_runs_tells_only_of_visible_ones(
    start: Start, ben: User, dov: User, worker: Worker
) -> None:
    hidden = await sync_to_async(start)({"key": "a"})
    await sync_to_async(services.update_workflow)(by=ben, workflow=hidden.workflow, visibility="private")
    shown = await sync_to_async(start)({"key": "a"})
    communicator = await sync_to_async(socket)("/ws/runs", dov)
    await communicator.connect()
    await asyncio.sleep(0.2)
    await sync_to_async(worker.work)("llm")

    heard = {(await communicator.receive_json_from(timeout=10))["number"] for _ in range(2)}
    await communicator.disconnect()

    assert heard == {shown.pk}
    assert hidden.pk not in heard
