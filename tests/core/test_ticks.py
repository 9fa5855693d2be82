"""The clock: one process at a time, and no broken tick stops the others."""

from __future__ import annotations

import threading
import time
import zlib

import pytest
from django.db import connection

from mcp_site.core import ticks
from mcp_site.core.ticks import TickThread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "_ticks", {})


def test_a_tick_that_another_process_is_at_is_left_to_it() -> None:
    called = []
    ticks.register("x", 1.0, lambda: called.append(1))
    key = zlib.crc32(b"tick:x")

    def hold(ready: threading.Event, done: threading.Event) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(%s)", [key])
            ready.set()
            done.wait(10)
            cursor.execute("select pg_advisory_unlock(%s)", [key])
        connection.close()

    ready, done = threading.Event(), threading.Event()
    other = threading.Thread(target=hold, args=(ready, done))
    other.start()
    ready.wait(10)
    ticks.run_once("x")
    assert called == []
    done.set()
    other.join()
    ticks.run_once("x")
    assert called == [1]


def test_a_broken_tick_does_not_stop_the_others() -> None:
    called = threading.Event()

    def broken() -> None:
        raise RuntimeError("on purpose")

    ticks.register("broken", 0.05, broken)
    ticks.register("fine", 0.05, lambda: called.set())
    thread = TickThread()
    thread.start()

    assert called.wait(10)
    called.clear()
    assert called.wait(10)
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_tick_may_ask_to_be_called_sooner() -> None:
    times: list[float] = []

    def eager() -> float:
        times.append(time.monotonic())
        return 0.05

    ticks.register("eager", 60.0, eager)
    thread = TickThread()
    thread.start()
    deadline = time.monotonic() + 10
    while len(times) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    thread.stop()
    thread.join(10)

    assert len(times) >= 3
