"""Errors in groups: the same at the same place is one, and what was said in an exception stays out."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from monitoring import capture, faults
from monitoring.models import Fault
from tests.monitoring.test_capture import work
from tests.workflows.conftest import make_script
from workflows.engine.worker import Worker
from workflows.models import Run

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]
logger = logging.getLogger("monitoring.test")


@pytest.fixture(autouse=True)
def _handled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have this logger's lines taken as the panel's are; begin with nothing seen.

    In a queue of our own: another test may have imported the web process, whose thread takes what comes.
    """
    monkeypatch.setattr(faults, "_waiting", queue.Queue(faults.WAITING))
    handler = faults.FaultHandler()
    logger.addHandler(handler)
    logger.propagate = False
    faults.flush()
    Fault.objects.all().delete()
    yield
    logger.removeHandler(handler)


def _fail(number: int) -> None:
    try:
        raise ValueError(f"hunter2-is-the-secret {number}")
    except ValueError:
        logger.exception("step %s failed", number)


def _fail_elsewhere() -> None:
    try:
        _ = {}["hunter2"]
    except KeyError:
        logger.exception("elsewhere")


def test_exceptions_of_one_place_are_one_group(api: Api, cyd: User) -> None:
    for number in range(3):
        _fail(number)
    _fail_elsewhere()
    logger.error("an error without an exception is a line, not a fault")
    faults.flush()

    answer = api(cyd).get("/api/v1/errors")

    shown = {one["title"]: one for one in answer.json()["results"]}
    assert {title: one["count"] for title, one in shown.items()} == {"ValueError": 3, "KeyError": 1}
    assert (shown["ValueError"]["message"], shown["ValueError"]["source"]) == ("step 2 failed", "panel")
    assert shown["ValueError"]["trace"][-1].endswith(" _fail")
    assert shown["ValueError"]["first_seen"] < shown["ValueError"]["last_seen"]
    assert "hunter2" not in answer.content.decode()
    one = api(cyd).get(f"/api/v1/errors/{shown['KeyError']['fingerprint']}")
    assert one.json()["title"] == "KeyError"


def test_a_flood_is_dropped_and_breaks_nothing() -> None:
    for number in range(faults.WAITING + 50):
        _fail(number)
    faults.flush()

    assert Fault.objects.get().count == faults.WAITING


def test_filters_and_who_may_look(api: Api, cyd: User) -> None:
    _fail(1)
    faults.flush()
    client = api(cyd)

    assert len(client.get("/api/v1/errors?source=panel&search=value").json()["results"]) == 1
    assert client.get("/api/v1/errors?source=run").json()["results"] == []
    assert client.get("/api/v1/errors?source=moon").status_code == 400
    assert client.get(f"/api/v1/errors/{'0' * 64}").status_code == 404
    assert api(None).get("/api/v1/errors").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_failures_of_steps_are_grouped_with_their_runs(
    api: Api, ben: User, cyd: User, start: Callable[..., Run], worker: Worker
) -> None:
    broken = make_script(ben, "def main(n: int):\n    raise ValueError(f'row {n} is bad')\n")
    runs = [start({"key": "a", "definition": broken.slug, "inputs": {"n": n}}) for n in (4, 17)]
    work(worker)
    capture.measure_runs()
    capture.measure_runs()

    (found,) = api(cyd).get("/api/v1/errors?source=run").json()["results"]
    assert (found["count"], found["runs"], found["definition"]) == (2, 2, broken.slug)
    assert found["run"] in {str(run.uid) for run in runs}
    assert "is bad" in found["message"]

    definitions.update_definition(by=ben, definition=Definition.objects.get(slug=broken.slug), visibility="private")
    assert api(cyd).get("/api/v1/errors").json()["results"] == []
    assert len(api(ben).get("/api/v1/errors").json()["results"]) == 1
