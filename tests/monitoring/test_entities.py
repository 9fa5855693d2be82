"""Any thing in one answer, with what the caller may see of its relations; and the first page as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import User
from connections import services as connections
from definitions import services as definitions
from definitions.models import Definition
from monitoring import capture, rollups, services
from tests.monitoring.test_capture import work
from workflows import services as workflows
from workflows.engine.worker import Worker
from workflows.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]


def _related(answer: Any) -> set[tuple[str, str, str]]:
    return {(one["type"], one["relationship"], one["name"]) for one in answer.json()["related"]}


def test_a_workflow_with_its_parts_versions_runs_and_acts(
    api: Api, ben: User, cyd: User, start: Callable[..., Run]
) -> None:
    run = start({"key": "a"})
    assert run.workflow is not None
    slug = run.workflow.slug

    by_slug = api(cyd).get(f"/api/v1/entities/workflow/{slug}")
    by_id = api(cyd).get(f"/api/v1/entities/workflow/{run.workflow.uid}")

    assert by_slug.status_code == 200
    assert by_slug.json() == by_id.json()
    assert _related(by_slug) == {
        ("workflow-version", "version", f"{slug}@1"),
        ("definition", "uses", "echo"),
        ("run", "run", f"#{run.pk}"),
    }
    answer = by_slug.json()
    assert (answer["type"], answer["id"], answer["data"]["slug"]) == ("workflow", str(run.workflow.uid), slug)
    assert [act["action"] for act in answer["activity"]][-1] == "workflow.create"
    assert answer["activity"][0]["actor"]["full_name"] == "Ben"
    assert set(answer["activity"][0]) == {"at", "actor", "action"}


def test_every_related_thing_can_be_asked_for_in_turn(api: Api, ben: User, start: Callable[..., Run]) -> None:
    run = start({"key": "a"})
    client = api(ben)
    todo, seen = [("run", str(run.uid))], set()
    while todo:
        type, id = todo.pop()
        if (type, id) in seen:
            continue
        seen.add((type, id))
        answer = client.get(f"/api/v1/entities/{type}/{id}")
        assert answer.status_code == 200, (type, id)
        todo += [(one["type"], one["id"]) for one in answer.json()["related"]]

    assert {type for type, _ in seen} == {"run", "workflow", "workflow-version", "definition", "version"}


def test_relations_that_the_caller_may_not_see_are_not_there(
    api: Api, ben: User, cyd: User, start: Callable[..., Run]
) -> None:
    run = start({"key": "a"})
    assert run.workflow is not None
    echo = definitions.update_definition(by=ben, definition=Definition.objects.get(slug="echo"), visibility="private")

    assert ("definition", "uses", "echo") not in _related(
        api(cyd).get(f"/api/v1/entities/workflow/{run.workflow.slug}")
    )
    assert api(cyd).get(f"/api/v1/entities/definition/{echo.slug}").status_code == 404
    assert api(cyd).get(f"/api/v1/entities/version/{echo.versions.get().uid}").status_code == 404
    assert api(ben).get(f"/api/v1/entities/version/{echo.versions.get().uid}").status_code == 200


def test_a_connection_shows_no_secret(api: Api, ben: User, cyd: User) -> None:
    connections.create_connection(
        by=ben, slug="vault", name="Vault", type="secret", config={"value": "hunter2-is-the-secret"}
    )

    answer = api(ben).get("/api/v1/entities/connection/vault")

    assert answer.status_code == 200
    assert "hunter2" not in answer.content.decode()
    assert api(cyd).get("/api/v1/entities/connection/vault").status_code == 404


@pytest.mark.parametrize("path", ["user/1", "run/1", "run/x", "version/echo", "workflow/none", "definition/%00"])
def test_what_is_not_there(api: Api, ada: User, path: str) -> None:
    assert api(ada).get(f"/api/v1/entities/{path}").status_code == 404


def test_keys_reach_the_types_of_their_areas(api: Api, ben: User, start: Callable[..., Run]) -> None:
    start({"key": "a"})
    _, text = accounts.issue_key(by=ben, name="reader", scopes=["definitions:read"])
    client, key = api(None), {"X-API-Key": text}

    assert client.get("/api/v1/entities/definition/echo", headers=key).status_code == 200
    assert client.get(f"/api/v1/entities/run/{Run.objects.get().uid}", headers=key).status_code == 403
    assert client.get("/api/v1/entities/definition/echo").status_code == 401


def test_the_first_page_as_numbers(api: Api, ben: User, cyd: User, start: Callable[..., Run], worker: Worker) -> None:
    client = api(cyd)
    before = client.get("/api/v1/dashboard/summary").json()
    assert (before["running"], before["success_rate"], before["recent_runs"]) == (0, None, [])
    runs = [start({"key": "a"}) for _ in range(3)]
    workflows.cancel_run(run=runs[0], by=ben)
    work(worker)
    start({"key": "a"})
    services.raise_alert(by=ben, title="Odd", severity="warn")
    capture.measure_runs()
    rollups.catch_up()

    found = client.get("/api/v1/dashboard/summary").json()

    assert (found["running"], found["queue_depth"], found["open_alerts"]) == (1, 1, 1)
    assert found["outcomes"] == {"succeeded": 2, "cancelled": 1}
    assert sum(sum(hour["outcomes"].values()) for hour in found["by_hour"]) == 3
    assert found["success_rate"] == 100.0
    assert found["duration_p95"] > 0
    assert [run["number"] for run in found["recent_runs"]][1:] == [run.pk for run in reversed(runs)]
    assert (found["definitions"], found["workflows"], found["tokens_today"]) == (1, 4, 0)
    assert client.get("/api/v1/dashboard/summary?x=1").status_code == 400
    assert api(None).get("/api/v1/dashboard/summary").status_code == 401
