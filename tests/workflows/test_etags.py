"""ETag and If-Match: a change meant for another state of a thing is refused, and two at once don't both win."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import close_old_connections, connection
from rest_framework.test import APIClient

from accounts.models import User
from connections import services as connections
from connections.models import Connection
from definitions.models import Definition
from mcp_site.core import clock
from workflows import services
from workflows.models import Run, Workflow
from workflows.schedules import firing
from workflows.services import schedules, triggers

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
GRAPH = {"steps": [{"key": "a", "definition": "echo"}]}
CHANGES = {
    "workflows": {"name": "Other"},
    "definitions": {"name": "Other"},
    "connections": {"name": "Other"},
    "schedules": {"cron": "@hourly"},
    "triggers": {"inputs": {"n": 1}},
}


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


@pytest.fixture
def paths(ben: User, flow: Workflow) -> dict[str, str]:
    """Return the path of one thing of each sort."""
    connections.create_connection(by=ben, slug="vault", name="Vault", type="secret", config={"value": "hunter2-secret"})
    schedule = schedules.create_schedule(by=ben, workflow=flow, cron="@daily")
    trigger, _, _ = triggers.create_trigger(by=ben, workflow=flow)
    names = {"schedules": schedule.uid, "triggers": trigger.uid, "workflows": "flow", "definitions": "echo"}
    return {sort: f"/api/v1/{sort}/{name}" for sort, name in {**names, "connections": "vault"}.items()}


@pytest.mark.parametrize("sort", CHANGES)
def test_a_change_for_another_state_is_refused(api: Api, ben: User, paths: dict[str, str], sort: str) -> None:
    client, path = api(ben), paths[sort]
    before = client.get(path)["ETag"]

    changed = client.patch(path, CHANGES[sort], headers={"If-Match": before})
    stale = client.patch(path, CHANGES[sort], headers={"If-Match": before})
    gone = client.delete(path, headers={"If-Match": before})

    assert changed.status_code == 200
    assert changed["ETag"] != before
    assert client.get(path)["ETag"] == changed["ETag"]
    assert (stale.status_code, gone.status_code) == (412, 412)
    assert stale.json()["errors"][0]["code"] == "stale"
    assert "ETag" not in stale
    assert client.patch(path, CHANGES[sort]).status_code == 200


@pytest.mark.parametrize("sort", ["connections", "schedules", "triggers"])
def test_the_right_tag_removes(api: Api, ben: User, paths: dict[str, str], sort: str) -> None:
    client, path = api(ben), paths[sort]

    assert client.delete(path, headers={"If-Match": client.get(path)["ETag"]}).status_code == 204


def test_what_is_made_has_the_tag_that_it_is_read_with(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    for sort, body in (
        ("workflows", {"slug": "new", "name": "New"}),
        ("schedules", {"workflow": "flow", "cron": "@daily"}),
        ("triggers", {"workflow": "flow", "inputs": {"b": 1, "a": 2}}),
    ):
        made = client.post(f"/api/v1/{sort}", body)
        assert made.status_code == 201
        path = made.headers.get("Location") or "/api/v1/workflows/new"
        assert client.get(path)["ETag"] == made["ETag"], sort


@pytest.mark.parametrize(
    ("given", "status"),
    [("*", 200), ('"other", {}', 200), ('"other"', 412), ("other", 412), ("", 412), ("W/{}", 200)],
)
def test_forms_of_if_match(api: Api, ben: User, flow: Workflow, given: str, status: int) -> None:
    client, path = api(ben), "/api/v1/workflows/flow"
    tag = client.get(path)["ETag"]

    answer = client.patch(path, {"name": "Other"}, headers={"If-Match": given.replace("{}", tag)})

    assert answer.status_code == status


def test_what_changes_by_itself_makes_nothing_stale(api: Api, ben: User, paths: dict[str, str]) -> None:
    client = api(ben)
    tags = {sort: client.get(path)["ETag"] for sort, path in paths.items()}

    Connection.objects.update(last_test={"ok": True, "phases": []}, last_test_at=clock.now())
    with time_machine.travel(clock.now() + timedelta(days=1, minutes=1), tick=False):
        firing.fire_due()

    assert Run.objects.count() == 1
    for sort in ("connections", "schedules", "workflows"):
        assert client.get(paths[sort])["ETag"] == tags[sort], sort


def test_a_new_version_or_alias_is_a_change_of_the_workflow(api: Api, ben: User, flow: Workflow) -> None:
    client, path = api(ben), "/api/v1/workflows/flow"
    tags = [client.get(path)["ETag"]]
    client.put(f"{path}/aliases/production", {"version": 1})
    tags.append(client.get(path)["ETag"])
    client.post(f"{path}/versions", {"graph": {"steps": [{"key": "b", "definition": "echo"}]}})
    tags.append(client.get(path)["ETag"])

    assert len(set(tags)) == 3


def test_what_you_can_not_see_is_not_there_with_any_tag(api: Api, ben: User, dov: User, flow: Workflow) -> None:
    services.update_workflow(by=ben, workflow=flow, visibility="private")

    answer = api(dov).patch("/api/v1/workflows/flow", {"name": "x"}, headers={"If-Match": "*"})

    assert answer.status_code == 404


def test_of_two_changes_at_once_one_wins(api: Api, ben: User, flow: Workflow) -> None:
    client, path = api(ben), "/api/v1/workflows/flow"
    for turn in range(3):
        tag = client.get(path)["ETag"]
        answers: list[Any] = []
        barrier = threading.Barrier(6)

        def change(
            number: int, turn: int = turn, tag: str = tag, answers: list[Any] = answers, barrier: Any = barrier
        ) -> None:
            close_old_connections()
            barrier.wait(20)
            try:
                answers.append(client.patch(path, {"name": f"{turn}-{number}"}, headers={"If-Match": tag}))
            finally:
                connection.close()

        threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]
