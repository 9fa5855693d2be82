"""Limits on runs at once: the line, refusals, who must go, and that a lost worker leaks nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from accounts.models import User
from definitions.models import Definition
from mcp_site.core.errors import Rejected
from tests.workflows.conftest import Bells, states
from tests.workflows.test_engine import finish
from workflows import services
from workflows.engine import slots, sweeper, transitions
from workflows.engine.worker import Worker
from workflows.errors import LimitReached
from workflows.models import Run, RunLimit, RunSlot, StepRun, Workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def limited(ben: User, prompt: Definition) -> Callable[..., Workflow]:
    """Return a function that makes a workflow of one step under a limit."""

    def make(**concurrency: Any) -> Workflow:
        graph = {"steps": [{"key": "a", "definition": "echo"}], "concurrency": concurrency}
        return services.create_workflow(by=ben, slug=f"limited-{Workflow.objects.count()}", name="L", graph=graph)

    return make


Limited = Callable[..., Workflow]


def begin(workflow: Workflow, by: User, **inputs: Any) -> Run:
    """Start a run, and read how it stands."""
    run = services.start_run(workflow=workflow, inputs=inputs, by=by)
    run.refresh_from_db()
    return run


def holders(workflow: Workflow) -> list[int]:
    """Return the runs that hold a slot."""
    found = RunSlot.objects.filter(limit__workflow=workflow, taken_at__isnull=False).order_by("run_id")
    return list(found.values_list("run_id", flat=True))


def test_one_too_many_waits_and_goes_on_when_a_slot_is_free(
    ben: User, limited: Limited, worker: Worker, bells: Bells
) -> None:
    flow = limited(limit=1)
    first, second = begin(flow, ben), begin(flow, ben)

    assert (second.state, second.reason, states(second)) == ("queued", "awaiting_slot", {"a": "ready"})
    assert [taken.run for taken in transitions.claim(["llm"], worker.name, 16, 30.0).taken] == [first.pk]
    services.cancel_run(run=first, by=ben)
    assert holders(flow) == [first.pk], "a running step still holds it"
    bells.rung.clear()
    end = transitions.End(first.pk, 0, 1, "cancelled", reason="run_cancelled")
    transitions.complete([end], worker.name, [], 0, 30.0)

    second.refresh_from_db()
    assert (holders(flow), second.reason, bells.rung) == ([second.pk], "", ["llm"])
    assert finish(worker, second).state == "succeeded"
    assert RunSlot.objects.count() == 0


def test_keys_are_limited_each_by_itself(ben: User, limited: Limited) -> None:
    flow = limited(limit=1, key="${{ inputs.region }}")
    runs = [begin(flow, ben, region=name) for name in ("emea", "apac", "emea")]

    assert [run.reason for run in runs] == ["", "", "awaiting_slot"]
    assert sorted(RunLimit.objects.values_list("key", flat=True)) == ["apac", "emea"]
    with pytest.raises(Rejected, match="concurrency"):
        begin(flow, ben)
    assert Run.objects.count() == 3


def test_reject_refuses_the_start_and_leaves_nothing(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=2, policy="reject")
    first, _ = begin(flow, ben), begin(flow, ben)

    with pytest.raises(LimitReached, match="2 of at most 2"):
        begin(flow, ben)
    assert Run.objects.count() == 2
    finish(worker, first)
    assert begin(flow, ben).reason == ""


def test_cancel_running_lets_the_newest_go_first(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=1, policy="cancel_running")
    first = begin(flow, ben)
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    second = begin(flow, ben)
    first.refresh_from_db()
    assert (first.state, second.reason) == ("cancelling", "awaiting_slot")
    third = begin(flow, ben)
    second.refresh_from_db()
    assert second.state == "cancelled", "it waited, and was overtaken"

    end = transitions.End(first.pk, 0, taken.attempt, "cancelled", reason="run_cancelled")
    transitions.complete([end], worker.name, [], 0, 30.0)

    assert holders(flow) == [third.pk]
    assert finish(worker, third).state == "succeeded"


def test_a_killed_worker_leaks_no_slot(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=1)
    first, second = begin(flow, ben), begin(flow, ben)
    for _ in range(3):
        assert transitions.claim(["llm"], "a worker that dies", 1, 0.01).taken[0].run == first.pk
        time.sleep(0.03)
        sweeper.sweep()

    first.refresh_from_db()
    assert (first.state, holders(flow)) == ("failed", [second.pk])
    assert finish(worker, second).state == "succeeded"
    assert RunSlot.objects.count() == 0


def test_the_sweeper_gives_out_what_nobody_gave(
    ben: User, limited: Limited, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = limited(limit=1)
    first, second = begin(flow, ben), begin(flow, ben)
    with monkeypatch.context() as patch:
        patch.setattr(transitions, "admit", _die)
        finish(worker, first)
    assert holders(flow) == []

    sweeper.sweep()

    assert holders(flow) == [second.pk]


def _die(*_: Any) -> None:
    raise OperationalError("the connection broke after the commit")


def test_a_run_that_waits_can_be_cancelled_paused_and_be_late(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=1)
    first, second, third = begin(flow, ben), begin(flow, ben), begin(flow, ben)
    services.cancel_run(run=second, by=ben)
    services.pause_run(run=third, by=ben)
    finish(worker, first)

    assert (second.state, second.reason, holders(flow)) == ("cancelled", "", [])
    assert transitions.claim(["llm"], worker.name, 16, 30.0).taken == ()
    services.resume_run(run=third, by=ben)
    assert holders(flow) == [third.pk]
    assert finish(worker, third).state == "succeeded"


def test_a_resume_does_not_jump_the_line(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=1)
    first, second = begin(flow, ben), begin(flow, ben)
    services.pause_run(run=second, by=ben)
    services.resume_run(run=second, by=ben)

    assert (second.state, second.reason) == ("queued", "awaiting_slot")
    assert [one.run for one in transitions.claim(["llm"], worker.name, 16, 30.0).taken] == [first.pk]


def test_a_step_may_wait_for_its_slot_no_longer_than_its_queue_clock(ben: User, prompt: Definition) -> None:
    step = {"key": "a", "definition": "echo", "timeout": {"queue": "50ms"}}
    graph = {"steps": [step], "concurrency": {"limit": 1}}
    flow = services.create_workflow(by=ben, slug="late", name="Late", graph=graph)
    services.pause_run(run=begin(flow, ben), by=ben)
    second = begin(flow, ben)
    time.sleep(0.08)
    sweeper.sweep()

    assert Run.objects.get(pk=second.pk).state == "failed"
    assert StepRun.objects.get(run=second).reason == "late"


def test_the_newest_start_says_how_large_the_limit_is(ben: User, limited: Limited) -> None:
    flow = limited(limit=1)
    begin(flow, ben)
    waiting = begin(flow, ben)
    graph = {"steps": [{"key": "a", "definition": "echo"}], "concurrency": {"limit": 3}}
    services.save_version(by=ben, workflow=flow, graph=graph)
    flow.refresh_from_db()
    newest = begin(flow, ben)

    waiting.refresh_from_db()
    assert (waiting.reason, newest.reason, len(holders(flow))) == ("", "", 3)


def test_many_that_start_at_once_never_hold_more_than_the_limit(ben: User, limited: Limited, worker: Worker) -> None:
    flow = limited(limit=2)
    errors: list[BaseException] = []

    def start_some() -> None:
        try:
            for _ in range(8):
                services.start_run(workflow=flow, inputs={}, by=ben)
        except BaseException as exc:  # noqa: BLE001  the test tells of it
            errors.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=start_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    most = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (any(t.is_alive() for t in threads) or Run.objects.unfinished().exists()):
        most = max(most, len(holders(flow)))
        worker.work("llm")
        slots.sweep()
    for thread in threads:
        thread.join(10)

    assert errors == []
    assert most <= 2
    assert Run.objects.filter(state="succeeded").count() == 32
    assert RunSlot.objects.count() == 0


def test_over_http(ben: User, dov: User, api: Any, limited: Limited) -> None:
    flow = limited(limit=1, key="${{ inputs.region }}", policy="reject")
    run = begin(flow, ben, region="emea")
    answer = api(ben).post(f"/api/v1/workflows/{flow.slug}/runs", {"inputs": {"region": "emea"}})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "limit_reached")

    listed = api(ben).get("/api/v1/limits").json()["results"]
    assert [(one["workflow"], one["key"], one["size"], one["used"], one["waiting"]) for one in listed] == [
        (flow.slug, "emea", 1, 1, 0)
    ]
    assert listed[0]["slots"][0]["run"] == {"id": str(run.uid), "number": run.pk}
    assert api(ben).get("/api/v1/limits?workflow=other").json()["results"] == []
    Workflow.objects.filter(pk=flow.pk).update(visibility="private")
    assert api(dov).get("/api/v1/limits").json()["results"] == []


def test_the_page_says_what_it_waits_for(ben: User, browser: Any, limited: Limited) -> None:
    flow = limited(limit=1)
    begin(flow, ben)
    assert "Waits for its slot" in browser(ben).get(f"/runs/{begin(flow, ben).uid}/").content.decode()
