"""Clocks of steps and runs: what is late, what takes too long, and that nothing else is touched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from accounts.models import User
from tests.workflows.conftest import Bells, kinds_of_events, make_script, states
from workflows import services
from workflows.engine import sweeper, transitions
from workflows.engine.transitions import End
from workflows.engine.worker import Worker
from workflows.models import Attempt, Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]
SLOW = "import time\ndef main():\n    time.sleep(60)\n"


def sweep_after(seconds: float) -> None:
    """Let time pass, then sweep."""
    time.sleep(seconds)
    sweeper.sweep()


def test_a_step_that_no_worker_takes_in_time_is_late(start: Start) -> None:
    run = start({"key": "a", "timeout": {"queue": "50ms"}}, {"key": "b", "needs": ["a"]})

    sweeper.sweep()
    assert states(run) == {"a": "ready", "b": "pending"}
    sweep_after(0.08)

    run.refresh_from_db()
    step = StepRun.objects.get(run=run, key="a")
    assert (run.state, states(run)) == ("failed", {"a": "timed_out", "b": "skipped"})
    assert (step.reason, step.error["class"], step.attempt) == ("late", "timeout", 0)


def test_the_queue_clock_stands_still_once_a_worker_has_the_step(start: Start, worker: Worker) -> None:
    run = start({"key": "a", "timeout": {"queue": "50ms"}})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]

    sweep_after(0.08)

    assert states(run) == {"a": "running"}
    transitions.complete([End(run.pk, 0, taken.attempt, "succeeded", output="1")], worker.name, [], 0, 30.0)
    assert states(run) == {"a": "succeeded"}


def test_the_total_clock_ends_a_running_step_and_its_late_result_counts_for_nothing(
    start: Start, worker: Worker
) -> None:
    run = start({"key": "a", "timeout": {"total": "50ms"}})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]

    sweep_after(0.08)

    assert states(run) == {"a": "timed_out"}
    assert transitions.heartbeat(worker.name, 30.0, [(taken.id, taken.attempt)]) == {taken.id: "lost"}
    late = End(run.pk, 0, taken.attempt, "succeeded", output="1")
    assert transitions.complete([late], worker.name, [], 0, 30.0)[0] == set()
    attempt = Attempt.objects.get(run_id=run.pk)
    assert (attempt.outcome, attempt.reason, attempt.ended_at is not None) == ("timed_out", "step_timed_out", True)


def test_the_total_clock_goes_on_over_retries_and_starts_when_the_step_is_ready(start: Start, worker: Worker) -> None:
    retry = {"max_attempts": 5, "delay": "10s", "jitter": False}
    run = start({"key": "a"}, {"key": "b", "needs": ["a"], "timeout": {"total": "1h"}, "retry": retry}, {"key": "c"})
    first = StepRun.objects.get(run=run, key="b")
    assert first.deadline_at is None
    taken = {one.key: one for one in transitions.claim(["llm"], worker.name, 2, 30.0).taken}
    _, claimed = transitions.complete(
        [End(run.pk, 0, taken["a"].attempt, "succeeded", output="1")], worker.name, ["llm"], 1, 30.0
    )
    assert StepRun.objects.get(run=run, key="b").deadline_at is not None

    end = End(run.pk, 1, claimed.taken[0].attempt, "retrying", reason="awaiting_retry", delay=10.0)
    transitions.complete([end], worker.name, [], 0, 30.0)
    with connection.cursor() as cursor:
        cursor.execute("update workflow_step_executions set deadline_at = clock_timestamp() where key = 'b'")
    sweeper.sweep()

    assert states(run) == {"a": "succeeded", "b": "timed_out", "c": "running"}


def test_a_mapped_steps_clock_ends_its_items(start: Start, worker: Worker) -> None:
    run = start({"key": "m", "for_each": [1, 2, 3], "max_parallel": 2, "timeout": {"total": "100ms"}}, {"key": "z"})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    transitions.expand(taken, worker.name, "[1, 2, 3]", 2)
    item = next(one for one in transitions.claim(["llm"], worker.name, 16, 30.0).taken if one.index == 0)

    sweep_after(0.15)

    assert states(run)["m"] == "timed_out"
    assert [states(run)[f"m[{i}]"] for i in range(3)] == ["cancelled"] * 3
    assert transitions.heartbeat(worker.name, 30.0, [(item.id, item.attempt)]) == {item.id: "lost"}


def test_the_runs_own_clock_ends_everything_at_once(ben: User, start: Start, worker: Worker) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]}, {"key": "c"}, timeout="100ms")
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]

    sweeper.sweep()
    assert Run.objects.get(pk=run.pk).state == "running"
    sweep_after(0.15)

    run.refresh_from_db()
    assert (run.state, run.reason, run.open) == ("timed_out", "it took longer than its timeout", 0)
    assert set(states(run).values()) == {"cancelled"}
    assert kinds_of_events(run)[-1] == "run.timed_out"
    assert not Attempt.objects.filter(run_id=run.pk, ended_at=None).exists()
    assert transitions.heartbeat(worker.name, 30.0, [(taken.id, taken.attempt)]) == {taken.id: "lost"}


def test_a_script_of_a_run_that_is_out_of_time_is_stopped(ben: User, start: Start) -> None:
    slow = make_script(ben, SLOW)
    run = start({"key": "a", "definition": slow.slug}, timeout="1s")
    worker = Worker(["script"], lease=1.0)
    thread = threading.Thread(target=_work_and_close, args=(worker,))
    thread.start()
    deadline = time.monotonic() + 30
    while Run.objects.get(pk=run.pk).state != "timed_out" and time.monotonic() < deadline:
        sweep_after(0.05)
    thread.join(20)

    assert not thread.is_alive()
    assert states(run) == {"a": "cancelled"}
    worker.stop()


def _work_and_close(worker: Worker) -> None:
    try:
        worker.work("script")
    finally:
        connection.close()


def test_a_clock_that_did_not_run_out_changes_nothing(start: Start, worker: Worker, bells: Bells) -> None:
    run = start({"key": "a", "timeout": {"queue": "1h", "total": "2h"}}, timeout="3h")

    due = sweeper.sweep()
    worker.work("llm")

    run.refresh_from_db()
    assert (run.state, due is not None and 3500 < due < 3601) == ("succeeded", True)


def test_cancel_wins_over_a_clock_that_runs_out_later(ben: User, start: Start, worker: Worker) -> None:
    run = start({"key": "a"}, timeout="50ms")
    transitions.claim(["llm"], worker.name, 1, 30.0)
    services.cancel_run(run=run, by=ben)

    sweep_after(0.08)

    assert Run.objects.get(pk=run.pk).state == "cancelling"
