"""Idempotency-Key: one act for each key, whatever is sent again, at once, or dies in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import close_old_connections, connection
from django.http import HttpResponseBase
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from accounts.models import User
from definitions.models import Definition
from mcp_site.core import clock
from mcp_site.core.errors import Conflict
from mcp_site.core.once import once
from workflows import idempotency, services
from workflows.engine.worker import Worker
from workflows.models import KeptAnswer, Run, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
GRAPH = {"steps": [{"key": "a", "definition": "echo"}]}
RUNS = "/api/v1/workflows/flow/runs"
KEY = {"HTTP_IDEMPOTENCY_KEY": "order-4711"}


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


def code(response: Any) -> str:
    """Return the code of the one error of an answer."""
    return str(response.json()["errors"][0]["code"])


def test_the_same_key_and_body_give_the_same_answer_and_one_run(api: Api, ben: User, flow: Workflow) -> None:
    first = api(ben).post(RUNS, {"labels": {"a": "b"}}, **KEY)
    again = api(ben).post(RUNS, {"labels": {"a": "b"}}, **KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert (again["Idempotency-Replayed"], first.has_header("Idempotency-Replayed")) == ("true", False)
    assert Run.objects.count() == 1


def test_another_body_is_a_conflict_and_starts_nothing(api: Api, ben: User, flow: Workflow) -> None:
    api(ben).post(RUNS, {"inputs": {"n": 1}}, **KEY)

    other = api(ben).post(RUNS, {"inputs": {"n": 2}}, **KEY)

    assert (other.status_code, code(other)) == (409, "key_reused")
    assert Run.objects.count() == 1


def test_a_key_belongs_to_its_caller_and_its_route(api: Api, ben: User, dov: User, flow: Workflow) -> None:
    services.create_workflow(by=ben, slug="other", name="Other", graph=GRAPH)

    answers = [
        api(ben).post(RUNS, {}, **KEY),
        api(dov).post(RUNS, {}, **KEY),
        api(ben).post("/api/v1/workflows/other/runs", {}, **KEY),
        api(ben).post(RUNS, {}),
        api(ben).post(RUNS, {}),
    ]

    assert len({answer.json()["id"] for answer in answers}) == 5


def test_what_was_refused_leaves_the_key_free(api: Api, ben: User, flow: Workflow) -> None:
    refused = api(ben).post(RUNS, {"version": "nope"}, **KEY)
    better = api(ben).post(RUNS, {}, **KEY)

    assert (refused.status_code, better.status_code) == (400, 201)


@pytest.mark.parametrize("key", ["", " ", "ä", "x" * 200, "a\tb"])
def test_a_key_that_is_none_is_refused(api: Api, ben: User, flow: Workflow, key: str) -> None:
    refused = api(ben).post(RUNS, {}, headers={"Idempotency-Key": key})

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["attr"] == "Idempotency-Key"
    assert not Run.objects.exists()


def test_the_key_holds_a_day(api: Api, ben: User, flow: Workflow) -> None:
    first = api(ben).post(RUNS, {}, **KEY).json()["id"]
    with time_machine.travel(clock.now() + timedelta(hours=23), tick=True):
        assert api(ben).post(RUNS, {}, **KEY).json()["id"] == first
        idempotency.prune()
        assert KeptAnswer.objects.count() == 1
    with time_machine.travel(clock.now() + timedelta(hours=25), tick=True):
        # Also before the tick has come by.
        assert api(ben).post(RUNS, {"inputs": {"n": 2}}, **KEY).json()["id"] != first


def test_old_answers_are_pruned(api: Api, ben: User, flow: Workflow) -> None:
    api(ben).post(RUNS, {}, **KEY)
    with time_machine.travel(clock.now() + timedelta(hours=25), tick=True):
        idempotency.prune()

    assert not KeptAnswer.objects.exists()


def test_a_start_that_is_waited_for_starts_once_and_answers_its_end(
    api: Api, ben: User, flow: Workflow, worker: Worker
) -> None:
    first = api(ben).post(RUNS, {}, **KEY).json()
    worker.work("llm")

    again = api(ben).post(f"{RUNS}?wait=5", {}, **KEY)

    assert (again.json()["id"], again.json()["state"]) == (first["id"], "succeeded")
    assert again["Idempotency-Replayed"] == "true"
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("workflows", {"slug": "new", "name": "New"}),
        ("workflows/flow/versions", {"graph": {"steps": [{"key": "b", "definition": "echo"}]}}),
        ("workflows/flow/rollback", {"to": 1}),
        ("definitions", {"slug": "new", "name": "New", "kind": "llm"}),
        (
            "definitions/echo/versions",
            {"config": {"provider": "dry-run", "messages": [{"role": "user", "content": "Other"}]}},
        ),
        ("definitions/echo/rollback", {"to": 1}),
        ("definitions/echo/run", {"inputs": {}}),
        ("connections", {"slug": "vault", "name": "Vault", "type": "secret", "config": {"value": "hunter2-secret"}}),
    ],
)
def test_every_post_that_creates_takes_a_key(
    api: Api, ben: User, flow: Workflow, path: str, body: dict[str, Any]
) -> None:
    first = api(ben).post(f"/api/v1/{path}", body, **KEY)
    again = api(ben).post(f"/api/v1/{path}", body, **KEY)

    assert first.status_code in (200, 201)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotency-Replayed"] == "true"
    assert "hunter2" not in "".join(map(str, KeptAnswer.objects.values_list("body", flat=True)))


class Making(APIView):
    """A view of our own: it makes a label of a run, and then does what the test tells it to."""

    permission_classes = (AllowAny,)
    then: Callable[[], None] = staticmethod(lambda: None)

    @once(secret=True)
    def post(self, request: Request) -> Response:
        Workflow.objects.create(slug=f"made-{Workflow.objects.count()}", name="Made")
        self.then()
        return Response({"id": "0190", "token": "shown once"}, status=201, headers={"Location": "/api/v1/made/0190"})


def _post(user: User, **initkwargs: Any) -> HttpResponseBase:
    request = APIRequestFactory().post("/api/v1/made", {"a": 1}, format="json", **KEY)
    force_authenticate(request, user)
    answer = Making.as_view(**initkwargs)(request)
    answer.render()
    return answer


def test_an_answer_with_a_secret_is_kept_without_it(ben: User) -> None:
    first = _post(ben)
    again = _post(ben)

    assert b"shown once" in first.content
    assert (again.status_code, again["Location"]) == (409, "/api/v1/made/0190")
    assert b"already_created" in again.content
    assert b"0190" in again.content
    assert KeptAnswer.objects.get().body is None
    assert Workflow.objects.count() == 1


def test_a_request_that_fails_half_way_leaves_nothing_and_frees_the_key(ben: User) -> None:
    def fail() -> None:
        raise Conflict("half way")

    failed = _post(ben, then=fail)

    assert failed.status_code == 409
    assert (Workflow.objects.count(), KeptAnswer.objects.count()) == (0, 0)
    assert _post(ben).status_code == 201


def test_a_second_request_while_the_first_is_in_flight_is_told_to_come_again(ben: User) -> None:
    seen: list[HttpResponseBase] = []
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        assert go_on.wait(20)

    def first() -> None:
        try:
            seen.append(_post(ben, then=hold))
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert arrived.wait(20)
    meanwhile = _post(ben)
    go_on.set()
    thread.join(20)

    assert (meanwhile.status_code, meanwhile["Retry-After"]) == (409, "1")
    assert b"in_progress" in meanwhile.content
    assert seen[0].status_code == 201
    assert Workflow.objects.count() == 1


def test_twelve_at_once_start_one_run(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    statuses: list[int] = []
    barrier = threading.Barrier(12)

    def post() -> None:
        close_old_connections()
        barrier.wait(20)
        try:
            statuses.append(client.post(RUNS, {}, **KEY).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=post) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(statuses) == 12
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert Run.objects.count() == 1
