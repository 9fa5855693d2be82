"""Limits: counted per caller and class of route, said in headers, and not to be talked away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]


@pytest.fixture(autouse=True)
def _low_limits(settings: Any) -> None:
    settings.RATES = {"read": 5, "write": 3, "run": 4, "query": 2, "login": 3, "login_address": 6}


def login(client: APIClient, email: str, password: str = "wrong", **more: Any) -> Any:
    return client.post("/auth/login", {"email": email, "password": password}, **more)


def test_each_answer_says_where_the_caller_stands(api: Api, ben: User) -> None:
    answer = api(ben).get("/api/v1/runs")

    assert answer["RateLimit-Policy"] == '"read";q=5;w=60'
    assert answer["RateLimit"].startswith('"read";r=4;t=')


def test_one_too_many_is_a_429_with_the_time_to_wait(api: Api, ben: User, dov: User) -> None:
    client = api(ben)
    answers = [client.get("/api/v1/runs") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].json()["errors"][0]["code"] == "throttled"
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert answers[-1]["RateLimit"].startswith('"read";r=0;t=')
    assert api(dov).get("/api/v1/runs").status_code == 200


def test_reads_writes_and_starts_are_counted_apart(api: Api, ben: User) -> None:
    client = api(ben)

    assert [client.post("/api/v1/workflows", {}).status_code for _ in range(4)] == [400, 400, 400, 429]
    assert [client.post("/api/v1/workflows/no/runs", {}).status_code for _ in range(5)] == [404] * 4 + [429]
    assert [client.post("/api/v1/connections/no/query", {}).status_code for _ in range(3)] == [404, 404, 429]
    assert client.get("/api/v1/runs").status_code == 200


def test_passwords_can_not_be_tried_without_end(api: Api, ben: User) -> None:
    client = api(None)

    assert [login(client, ben.email).status_code for _ in range(4)] == [401, 401, 401, 429]
    assert login(client, ben.email, PASSWORD).status_code == 429
    assert login(client, ben.email.upper(), PASSWORD).status_code == 429


def test_an_address_can_not_try_one_person_after_the_other(api: Api) -> None:
    client = api(None)

    tried = [login(client, f"person{number}@example.com").status_code for number in range(7)]

    assert tried == [401] * 6 + [429]


def test_a_header_does_not_make_another_caller(api: Api, ben: User) -> None:
    client = api(None)

    tried = [login(client, ben.email, HTTP_X_FORWARDED_FOR=f"10.0.0.{number}").status_code for number in range(4)]

    assert tried == [401, 401, 401, 429]


def test_a_victim_is_not_locked_out_for_others_addresses(api: Api, ben: User) -> None:
    attacker = api(None)
    for _ in range(5):
        login(attacker, ben.email, REMOTE_ADDR="10.9.9.9")

    assert login(api(None), ben.email, PASSWORD, REMOTE_ADDR="10.1.1.1").status_code == 200


def test_the_page_counts_with_the_api_and_says_how_long_to_wait(api: Api, ben: User) -> None:
    for _ in range(3):
        login(api(None), ben.email)

    answer = Client().post("/login/", {"username": ben.email, "password": PASSWORD})

    assert answer.status_code == 429
    assert "Too many tries" in answer.content.decode()
    assert int(answer["Retry-After"]) >= 1


def test_the_admin_has_no_door_of_its_own() -> None:
    client = Client()

    answer = client.get("/admin/login/?next=/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/admin/")
    assert client.post("/admin/login/", {"username": "a", "password": "b"})["Location"].startswith("/login/")


def test_health_is_never_refused(api: Api) -> None:
    client = api(None)

    assert {client.get("/health/live").status_code for _ in range(20)} == {200}


def test_without_the_cache_the_panel_goes_on_without_limits(api: Api, ben: User, settings: Any) -> None:
    client = api(ben)
    settings.CACHES = {
        "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0", "KEY_PREFIX": "x"}
    }

    assert {client.get("/api/v1/runs").status_code for _ in range(8)} == {200}
