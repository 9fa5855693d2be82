"""Paused runs: nothing new is taken, what runs ends, and all goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEvent, User
from mcp_site.core.errors import Forbidden
from tests.workflows.conftest import Bells, kinds_of_events, states
from tests.workflows.test_engine import finish
from workflows import services
from workflows.engine import sweeper, transitions
from workflows.engine.transitions import End
from workflows.engine.worker import Worker
from workflows.errors import NotPaused, RunNotGoing
from workflows.models import Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]


def test_nothing_is_taken_while_paused_and_all_goes_on_after(
    ben: User, start: Start, worker: Worker, bells: Bells
) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})

    services.pause_run(run=run, by=ben)
    bells.rung.clear()
    worker.work("llm")
    time.sleep(1.1)
    sweeper.sweep()

    assert (run.state, run.reason, states(run)) == ("paused", "paused by Ben", {"a": "ready", "b": "pending"})
    assert bells.rung == []
    services.resume_run(run=run, by=ben)
    assert (run.state, run.reason, bells.rung) == ("queued", "", ["llm"])
    finish(worker, run)
    assert run.state == "succeeded"
    kinds = kinds_of_events(run)
    assert [kind for kind in kinds if kind.startswith("run.")] == [
        "run.queued",
        "run.paused",
        "run.queued",
        "run.running",
        "run.succeeded",
    ]
    assert list(AuditEvent.objects.filter(object_id=run.uid).order_by("id").values_list("action", flat=True)) == [
        "run.start",
        "run.pause",
        "run.resume",
    ]


def test_what_runs_ends_and_what_it_releases_waits(ben: User, start: Start, worker: Worker, bells: Bells) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    services.pause_run(run=run, by=ben)

    end = End(run.pk, 0, taken.attempt, "succeeded", output="1")
    accepted, claimed = transitions.complete([end], worker.name, ["llm"], 16, 30.0)

    assert (accepted, claimed.taken) == ({(run.pk, 0)}, ())
    assert states(run) == {"a": "succeeded", "b": "ready"}
    assert transitions.claim(["llm"], worker.name, 1, 30.0).hot is None
    services.resume_run(run=run, by=ben)
    assert run.state == "running"
    assert finish(worker, run).state == "succeeded"


def test_retries_that_are_due_and_handed_back_steps_wait_too(ben: User, start: Start, worker: Worker) -> None:
    run = start({"key": "a"}, {"key": "b"})
    taken = {one.key: one for one in transitions.claim(["llm"], worker.name, 2, 30.0).taken}
    services.pause_run(run=run, by=ben)
    ends = [
        End(run.pk, 0, taken["a"].attempt, "retrying", reason="awaiting_retry", delay=0.01),
        End(run.pk, 1, taken["b"].attempt, "ready", reason="handed_back"),
    ]
    transitions.complete(ends, worker.name, ["llm"], 16, 30.0)
    time.sleep(0.05)
    sweeper.sweep()

    assert states(run) == {"a": "ready", "b": "ready"}
    assert transitions.claim(["llm"], worker.name, 16, 30.0).taken == ()
    services.resume_run(run=run, by=ben)
    assert finish(worker, run).state == "succeeded"


def test_items_made_while_paused_wait(ben: User, start: Start, worker: Worker) -> None:
    run = start({"key": "m", "for_each": [1, 2, 3], "max_parallel": 2})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    services.pause_run(run=run, by=ben)

    transitions.expand(taken, worker.name, "[1, 2, 3]", 2)

    assert transitions.claim(["llm"], worker.name, 16, 30.0).taken == ()
    services.resume_run(run=run, by=ben)
    assert finish(worker, run).state == "succeeded"


def test_the_last_running_step_may_end_a_paused_run(ben: User, start: Start, worker: Worker) -> None:
    run = start({"key": "a"})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    services.pause_run(run=run, by=ben)

    transitions.complete([End(run.pk, 0, taken.attempt, "succeeded", output="1")], worker.name, [], 0, 30.0)

    run.refresh_from_db()
    assert (run.state, run.reason) == ("succeeded", "")


def test_a_paused_runs_steps_are_not_late_but_its_own_clock_goes_on(ben: User, start: Start) -> None:
    late = start({"key": "a", "timeout": {"queue": "50ms"}})
    over = start({"key": "a"}, timeout="50ms")
    for run in (late, over):
        services.pause_run(run=run, by=ben)
    time.sleep(0.08)
    sweeper.sweep()

    assert states(late) == {"a": "ready"}
    assert Run.objects.get(pk=over.pk).state == "timed_out"
    services.resume_run(run=late, by=ben)
    sweeper.sweep()
    assert states(late) == {"a": "ready"}, "its queue clock began anew"


def test_pause_and_resume_say_why_they_can_not(ben: User, dov: User, start: Start) -> None:
    run = start({"key": "a"})
    with pytest.raises(NotPaused):
        services.resume_run(run=run, by=ben)
    assert services.pause_run(run=run, by=ben).state == "paused"
    assert services.pause_run(run=run, by=ben).events == run.events, "pausing twice changes nothing"
    with pytest.raises(Forbidden):
        services.resume_run(run=run, by=dov)
    assert services.cancel_run(run=run, by=ben).state == "cancelled"
    with pytest.raises(RunNotGoing):
        services.pause_run(run=run, by=ben)
    assert StepRun.objects.get(run=run).state == "cancelled"


def test_over_http_and_on_the_page(ben: User, cyd: User, api: Any, browser: Any, start: Start) -> None:
    run = start({"key": "a"})
    url = f"/api/v1/runs/{run.uid}"

    assert api(cyd).post(f"{url}/pause").status_code == 403
    assert api(ben).post(f"{url}/pause").json()["state"] == "paused"
    page = browser(ben).get(f"/runs/{run.uid}/").content.decode()
    assert "Paused by Ben" in page
    assert f"/runs/{run.uid}/resume/" in page
    assert browser(ben).post(f"/runs/{run.uid}/resume/").status_code == 302
    answer = api(ben).post(f"{url}/resume")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "not_paused")
