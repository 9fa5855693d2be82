"""Health: who is told what."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from rest_framework.test import APIClient

from accounts.models import User
from mcp_site.celery import app
from mcp_site.core import clock
from monitoring import health, tasks
from monitoring.models import Beat

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]
VITAL = {"database", "migrations", "redis", "broker"}
OTHERS = {"cache", "disk", "clock_skew", "ticks", "workers"}


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_anyone_may_ask_whether_the_panel_lives_and_is_ready(api: Api, base: str) -> None:
    client = api(None)

    assert client.get(f"{base}/health/live").json() == {"status": "ok"}
    assert client.get(f"{base}/health/ready").json() == {"status": "ok"}
    tasks.note("clock")
    tasks.canary()
    assert client.get(f"{base}/health").json() == {"status": "ok"}


def test_only_admins_see_what_was_looked_at(api: Api, ada: User, cyd: User) -> None:
    tasks.note("clock")
    tasks.canary()

    checks = api(ada).get("/health").json()["checks"]

    assert {check["name"] for check in checks if check["ok"]} == VITAL | OTHERS
    assert {check["name"] for check in checks if check["vital"]} == VITAL
    assert "checks" not in api(cyd).get("/health").json()


def _troubles(answer: Any) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in answer.json()["checks"] if not check["ok"]}


def test_without_clock_and_workers_it_is_degraded_and_not_down(
    api: Api, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = api(ada).get("/health")
    tasks.note("clock")
    tasks.canary()
    later = clock.now() + timedelta(seconds=75)
    monkeypatch.setattr(clock, "now", lambda: later)
    silent = api(ada).get("/health")

    assert (never.status_code, never.json()["status"]) == (200, "degraded")
    assert _troubles(never) == {"ticks": "no clock runs", "workers": "no worker takes messages"}
    assert _troubles(silent)["workers"] == "no worker takes messages, the last sign 75 s ago"
    assert "off the database's clock" in _troubles(silent)["clock_skew"]
    assert api(None).get("/health/ready").status_code == 200


def test_a_full_disk_degrades(api: Api, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MIN_FREE", 2**63)
    monkeypatch.setattr(health, "MIN_SHARE", 1.0)

    assert "GiB free of" in _troubles(api(ada).get("/health"))["disk"]


@pytest.mark.django_db(transaction=True)
def test_a_canary_goes_through_the_broker_to_a_worker() -> None:
    with start_worker(app, perform_ping_check=False, queues=["control"], pool="solo"):
        tasks.beat()
        for _ in range(100):
            if Beat.objects.filter(name="worker").exists():
                break
            time.sleep(0.05)

    assert set(Beat.objects.values_list("name", flat=True)) == {"clock", "worker"}


def test_a_broker_that_does_not_answer_makes_it_unavailable(api: Api, ada: User, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://:hunter2secret@127.0.0.1:1/0"

    answer = api(ada).get("/health")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "broker" in _troubles(answer)
    assert "hunter2" not in answer.content.decode()


def test_without_the_broker_the_panel_is_not_ready_and_says_no_address(api: Api, ada: User, settings: Any) -> None:
    client = api(ada)
    settings.REDIS_URL = "redis://:hunter2secret@127.0.0.1:1/0"

    ready, full = client.get("/health/ready"), client.get("/health")

    assert (ready.status_code, full.status_code) == (503, 503)
    assert "hunter2" not in full.content.decode()
    assert client.get("/health/live").status_code == 200
