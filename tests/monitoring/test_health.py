"""Health: who is told what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_anyone_may_ask_whether_the_panel_lives_and_is_ready(api: Api, base: str) -> None:
    client = api(None)

    assert client.get(f"{base}/health/live").json() == {"status": "ok"}
    assert client.get(f"{base}/health/ready").json() == {"status": "ok"}
    assert client.get(f"{base}/health").json() == {"status": "ok"}


def test_only_admins_see_what_was_looked_at(api: Api, ada: User, cyd: User) -> None:
    checks = api(ada).get("/health").json()["checks"]

    assert {check["name"]: check["ok"] for check in checks} == {"database": True, "migrations": True, "redis": True}
    assert "checks" not in api(cyd).get("/health").json()


def test_without_the_broker_the_panel_is_not_ready_and_says_no_address(api: Api, ada: User, settings: Any) -> None:
    client = api(ada)
    settings.REDIS_URL = "redis://:hunter2secret@127.0.0.1:1/0"

    ready, full = client.get("/health/ready"), client.get("/health")

    assert (ready.status_code, full.status_code) == (503, 503)
    assert "hunter2" not in full.content.decode()
    assert client.get("/health/live").status_code == 200
