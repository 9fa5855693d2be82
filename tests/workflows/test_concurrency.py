"""Many workers, sweepers and cancels at once on random graphs: every run ends as the rules say, and nothing is torn."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from tests.workflows.conftest import QUEUES, Bells
from tests.workflows.test_verdict import verdict
from workflows import services
from workflows.engine import sweeper, transitions
from workflows.engine.worker import Worker
from workflows.errors import RunNotCancellable
from workflows.graph import Graph, allowed_of, compile_plan
from workflows.models import Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
JOINS = ("all_succeeded", "all_succeeded", "all_done", "any_succeeded", "any_failed", "none_failed")

# Each must return no row.
INVARIANTS = {
    "a run has ended exactly when all its steps have": """
        select r.id from workflow_runs r where (r.finished_at is not null) <> not exists (
          select from workflow_step_executions s where s.run_id = r.id
            and s.state not in ('succeeded', 'failed', 'crashed', 'timed_out', 'cancelled', 'skipped'))""",
    "open counts the steps that have not ended": """
        select r.id from workflow_runs r where r.open <> (
          select count(*) from workflow_step_executions s where s.run_id = r.id
            and s.state not in ('succeeded', 'failed', 'crashed', 'timed_out', 'cancelled', 'skipped'))""",
    "events are numbered 1 to n": """
        select r.id from workflow_runs r left join workflow_events e on e.run_id = r.id group by r.id, r.events
        having count(e.number) <> r.events or max(e.number) <> r.events or min(e.number) <> 1""",
    "times never run backwards": """
        select run_id from (select run_id, at, lag(at) over (partition by run_id order by number) as before
          from workflow_events) x where at < before""",
    "the last event of a step is its state": """
        select s.run_id, s.n, s.state, e.kind from workflow_step_executions s join lateral (
          select kind from workflow_events e where e.run_id = s.run_id and e.n = s.n and e.kind <> 'step.progress'
          order by number desc limit 1) e on true where e.kind <> 'step.' || s.state""",
    "attempts are 1 to n": """
        select s.run_id, s.n from workflow_step_executions s
        left join workflow_attempts a on a.run_id = s.run_id and a.n = s.n group by s.run_id, s.n, s.attempt
        having count(a.number) <> s.attempt or coalesce(max(a.number), 0) <> s.attempt""",
    "no attempt is left open": """
        select a.run_id from workflow_attempts a join workflow_runs r on r.id = a.run_id
        where r.finished_at is not null and a.ended_at is null""",
    "nothing starts after a cancel": """
        select e.run_id from workflow_events e join workflow_events c on c.run_id = e.run_id
          and c.kind in ('run.cancelling', 'run.cancelled') where e.kind = 'step.running' and e.number > c.number""",
    "no finished step is hidden from claims, nor a ready one of a run that goes on": """
        select s.run_id, s.n from workflow_step_executions s join workflow_runs r on r.id = s.run_id
        where s.limit_id < 0 and s.state = 'ready' and r.state = 'running'""",
    "nothing is taken while paused": """
        select e.run_id, e.number from workflow_events e join lateral (
          select kind from workflow_events p where p.run_id = e.run_id and p.number < e.number and p.kind like 'run.%'
          order by number desc limit 1) r on true where e.kind = 'step.running' and r.kind = 'run.paused'""",
    "no slot is left": "select limit_id from workflow_slots union all select limit_id from workflow_run_slots",
}


# Asked all the time, from outside.
OVER_ADMITTED = """
    select l.id from workflow_run_limits l join workflow_run_slots k on k.limit_id = l.id and k.taken_at is not null
    group by l.id having count(*) > l.size"""


def random_graph(random_: random.Random) -> dict[str, Any]:
    """Return 2 to 9 steps; some fail, some are skipped by a condition, some are mapped."""
    steps: list[dict[str, Any]] = []
    for number in range(random_.randint(2, 9)):
        needs = [step["key"] for step in steps if random_.random() < 0.35]
        step: dict[str, Any] = {
            "key": f"s{number}",
            "definition": "picky",
            "needs": needs,
            "join": random_.choice(JOINS),
        }
        fails = random_.random() < 0.2
        step["inputs"] = {} if fails else {"x": "1"}
        if random_.random() < 0.15:
            step["when"] = "${{ inputs.no }}"
        elif random_.random() < 0.2:
            step["for_each"] = list(range(random_.randint(0, 5)))
            step["max_parallel"] = random_.randint(1, 3)
            step["fail_fast"] = random_.random() < 0.5
            if random_.random() < 0.3:
                step["allow_failed"] = random_.choice((1, 3, "50%", "100%"))
        steps.append(step)
    graph: dict[str, Any] = {"steps": steps}
    if random_.random() < 0.4:
        graph["concurrency"] = {"limit": random_.randint(1, 2)}
    if random_.random() < 0.3:
        graph["on_failure"] = {"definition": "picky", "inputs": {"x": "1"}}
    return graph


def _are_borne(written: dict[str, Any]) -> bool:
    """Tell whether a mapped step of which all items fail succeeds nevertheless."""
    count = len(written.get("for_each", ()))
    allowance = written.get("allow_failed")
    return allowance is not None and count <= allowed_of(str(allowance), count)


def expected(document: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return how the run and its steps must end, by the rules alone."""
    plan = compile_plan(Graph.model_validate(document))
    ends: dict[int, tuple[str, str]] = {}
    for step, written in zip(plan.steps, [*document["steps"], document.get("on_failure")], strict=False):
        classes = [ends[n][1] for n in step.deps]
        counts = [classes.count(name) for name in ("ok", "bad", "skip")]
        said = verdict(step.join_rule, len(step.deps), *counts) if step.deps else "ready"
        if said != "ready":
            ends[step.n] = ("skipped", "bad" if said == "upstream_failed" else "skip")
        elif "when" in written:
            ends[step.n] = ("skipped", "skip")
        elif "x" in written["inputs"] or written.get("for_each") == [] or _are_borne(written):
            ends[step.n] = ("succeeded", "ok")
        else:
            ends[step.n] = ("failed", "bad")
    bad = any(step.sink and ends[step.n][1] == "bad" for step in plan.steps)
    return "failed" if bad else "succeeded", {step.key: ends[step.n][0] for step in plan.steps}


@pytest.fixture
def picky(ben: User) -> Definition:
    """A prompt that fails without its input."""
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "${{ inputs.x }}"}]}
    made = definitions.create_definition(by=ben, slug="picky", name="Picky", kind="llm")
    definitions.save_version(by=ben, definition=made, config=config, input_schema={"type": "object"})
    return made


def _in_threads(count: int, function: Callable[[int], None], errors: list[BaseException]) -> list[threading.Thread]:
    def guarded(number: int) -> None:
        try:
            function(number)
        except BaseException as exc:  # noqa: BLE001  the test tells of it
            errors.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


class Storm:
    """Four workers with short leases, two sweepers, somebody who cancels and somebody who pauses, all at once."""

    def __init__(self, by: User, to_cancel: list[Run]) -> None:
        self.by, self.to_cancel = by, to_cancel
        self.done = threading.Event()
        self.errors: list[BaseException] = []

    def work(self, number: int) -> None:
        """Answer bells without end."""
        worker = Worker(list(QUEUES), lease=0.5)
        try:
            while not self.done.is_set():
                worker.work("llm")
        finally:
            worker.stop()

    def sweep(self, number: int) -> None:
        """Sweep without end."""
        while not self.done.is_set():
            sweeper.sweep()
            time.sleep(0.05)

    def cancel(self, number: int) -> None:
        """Cancel one after the other; some have ended by then."""
        for run in self.to_cancel:
            try:
                services.cancel_run(run=Run.objects.get(pk=run.pk), by=self.by)
            except RunNotCancellable:
                pass

    def watch(self, number: int) -> None:
        """Look from outside whether more runs hold a slot than may."""
        with connection.cursor() as cursor:
            while not self.done.is_set():
                cursor.execute(OVER_ADMITTED)
                assert cursor.fetchall() == []
                time.sleep(0.02)

    def pause(self, number: int) -> None:
        """Pause and resume whatever goes on, again and again."""
        random_ = random.Random(number)
        while not self.done.is_set():
            for run in Run.objects.unfinished().order_by("?")[:5]:
                paused = transitions.pause(run.pk, "for a moment")
                time.sleep(random_.random() * 0.02)
                if paused:
                    transitions.resume(run.pk)

    def blow(self, seconds: float) -> None:
        """Go on until every run has ended, or something broke."""
        parts = ((4, self.work), (2, self.sweep), (1, self.cancel), (1, self.pause), (1, self.watch))
        threads = [thread for count, part in parts for thread in _in_threads(count, part, self.errors)]
        deadline = time.monotonic() + seconds
        while Run.objects.unfinished().exists() and time.monotonic() < deadline and not self.errors:
            time.sleep(0.05)
        self.done.set()
        for thread in threads:
            thread.join(20)


@pytest.mark.parametrize("seed", range(1, int(os.environ.get("STORMS", "3"))))
def test_workers_sweepers_and_cancels_at_once_end_every_run_by_the_rules(
    ben: User, picky: Definition, bells: Bells, seed: int
) -> None:
    random_ = random.Random(seed)
    runs: list[tuple[Run, dict[str, Any]]] = []
    for number in range(40):
        graph = random_graph(random_)
        flow = services.create_workflow(by=ben, slug=f"flow-{number}", name="Flow", graph=graph)
        count = random_.randint(1, 3)
        runs += [(services.start_run(workflow=flow, inputs={"no": False}, by=ben), graph) for _ in range(count)]

    storm = Storm(ben, [run for run, _ in runs if random_.random() < 0.2][::-1])
    storm.blow(60)

    assert storm.errors == []
    assert not Run.objects.unfinished().exists()
    with connection.cursor() as cursor:
        for name, query in INVARIANTS.items():
            cursor.execute(query)
            assert cursor.fetchall() == [], name
    for run, graph in runs:
        run.refresh_from_db()
        if run.state != "cancelled":
            found = {step.key: step.state for step in StepRun.objects.graph_steps().filter(run=run)}
            assert (run.state, found) == expected(graph), graph
    assert any(run.state == "cancelled" for run, _ in runs)
