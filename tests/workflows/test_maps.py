"""Mapped steps that bear failed items, or stop at one; and the handler of a run that is going to fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from mcp_site.core.uses import InUse
from tests.workflows.conftest import make_script, states
from tests.workflows.test_engine import finish
from workflows import outputs
from workflows.engine import transitions
from workflows.engine.transitions import End, Taken
from workflows.engine.worker import Worker
from workflows.graph import allowed_of
from workflows.models import Attempt, Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]


@pytest.fixture(autouse=True)
def odd(ben: User) -> str:
    """A script that fails for odd numbers."""
    code = "def main(n: int):\n    if n % 2:\n        raise ValueError('odd')\n    return n\n"
    return make_script(ben, code).slug


def mapped(odd: str, numbers: list[int], **more: object) -> dict[str, object]:
    """Return a step that calls the script for each number."""
    return {"key": "m", "definition": odd, "for_each": numbers, "inputs": {"n": "${{ item }}"}, **more}


@pytest.mark.parametrize(
    ("allowance", "total", "expected"),
    [(None, 9, 0), ("0", 9, 0), ("3", 9, 3), ("10%", 9, 0), ("10%", 10, 1), ("33.4%", 3, 1), ("100%", 7, 7)],
)
def test_an_allowance_is_a_number_or_a_share_rounded_down(allowance: str | None, total: int, expected: int) -> None:
    assert allowed_of(allowance, total) == expected


@pytest.mark.parametrize(
    ("allowed", "state"), [(1, "failed"), (2, "succeeded"), ("49%", "failed"), ("50%", "succeeded")]
)
def test_a_map_succeeds_with_no_more_failed_items_than_allowed(
    odd: str, start: Start, worker: Worker, allowed: object, state: str
) -> None:
    run = finish(worker, start(mapped(odd, [0, 1, 2, 3], allow_failed=allowed), output="${{ steps.m.output }}"))

    assert states(run)["m"] == state
    assert [states(run)[f"m[{i}]"] for i in range(4)] == ["succeeded", "failed"] * 2
    assert outputs.items_output(run.pk, 0) == [0, None, 2, None]
    assert run.state == state


def taken_items(worker: Worker, run: Run, count: int, total: int, **step: object) -> list[Taken]:
    """Expand the first step by hand, and take `count` of its items."""
    first = transitions.claim(["script"], worker.name, 1, 30.0).taken[0]
    transitions.expand(first, worker.name, str(list(range(total))), total)
    return [transitions.claim(["script"], worker.name, 1, 30.0).taken[0] for _ in range(count)]


def test_with_fail_fast_one_failed_item_ends_the_others_at_once(odd: str, start: Start, worker: Worker) -> None:
    run = start(mapped(odd, [0, 1, 2, 3, 4], fail_fast=True), {"key": "z", "needs": ["m"]})
    first, second = taken_items(worker, run, 2, 5)

    end = End(run.pk, first.n, first.attempt, "failed", error={"class": "user_error", "message": "no"})
    transitions.complete([end], worker.name, [], 0, 30.0)

    run.refresh_from_db()
    assert (run.state, states(run)["m"], states(run)["z"]) == ("failed", "failed", "skipped")
    assert [states(run)[f"m[{i}]"] for i in range(5)] == ["failed", *["cancelled"] * 4]
    assert set(StepRun.objects.filter(run=run, state="cancelled").values_list("reason", flat=True)) == {"map_ended"}
    assert transitions.heartbeat(worker.name, 30.0, [(second.id, second.attempt)]) == {second.id: "lost"}
    late = End(run.pk, second.n, second.attempt, "succeeded", output="1")
    assert transitions.complete([late], worker.name, [], 0, 30.0)[0] == set()
    assert not Attempt.objects.filter(run_id=run.pk, ended_at=None).exists()


def test_fail_fast_bears_as_many_as_allowed(odd: str, start: Start, worker: Worker) -> None:
    step = mapped(odd, [1, 0, 1, 0], fail_fast=True, allow_failed=1, max_parallel=1)
    run = finish(worker, start(step))

    assert [states(run)[f"m[{i}]"] for i in range(4)] == ["failed", "succeeded", "failed", "cancelled"]
    assert states(run)["m"] == "failed"
    assert StepRun.objects.get(run=run, n=0).error["message"] == "2 of 4 items did not succeed"


def test_the_handler_runs_when_all_else_has_ended_and_is_told_what_failed(
    ben: User, odd: str, start: Start, worker: Worker
) -> None:
    tell = make_script(ben, "def main(failures: list, region: str):\n    return [region, failures]\n")
    handler = {
        "definition": tell.slug,
        "inputs": {"failures": "${{ failures }}", "region": "${{ inputs.region }}"},
    }
    run = start(
        {"key": "a", "definition": odd, "inputs": {"n": 1}},
        {"key": "b", "needs": ["a"]},
        {"key": "c"},
        inputs={"region": "emea"},
        on_failure=handler,
    )
    finish(worker, run)

    assert (run.state, run.reason) == ("failed", "step a did not succeed")
    assert states(run) == {"a": "failed", "b": "skipped", "c": "succeeded", "on_failure": "succeeded"}
    region, failures = StepRun.objects.get(run=run, key="on_failure").output
    assert (region, [(one["step"], one["state"]) for one in failures]) == ("emea", [("a", "failed")])
    last = StepRun.objects.get(run=run, key="on_failure")
    assert last.started_at >= max(StepRun.objects.filter(run=run, key__in="ac").values_list("finished_at", flat=True))


def test_the_handler_of_a_run_that_succeeds_is_skipped(start: Start, worker: Worker) -> None:
    run = finish(worker, start({"key": "a"}, on_failure={"definition": "echo"}, output={"x": "${{ steps.a.state }}"}))

    assert (run.state, run.output) == ("succeeded", {"x": "succeeded"})
    step = StepRun.objects.get(run=run, key="on_failure")
    assert (step.state, step.reason) == ("skipped", "not_needed")


def test_a_failed_handler_changes_neither_the_state_nor_the_reason(
    odd: str, start: Start, worker: Worker, ben: User
) -> None:
    step = {"key": "a", "definition": odd, "inputs": {"n": 1}}
    run = finish(worker, start(step, on_failure={"definition": odd, "inputs": {"n": 3}}))

    assert (run.state, run.reason) == ("failed", "step a did not succeed")
    assert states(run) == {"a": "failed", "on_failure": "failed"}


def test_the_handler_is_pinned_and_counts_as_use(odd: str, start: Start, ben: User, prompt: Definition) -> None:
    run = start({"key": "a", "definition": odd, "inputs": {"n": 2}}, on_failure={"definition": "echo"})

    assert run.pins["on_failure"]["number"] == 1
    with pytest.raises(InUse, match=run.workflow.slug):
        definitions.archive_definition(by=ben, definition=prompt)
