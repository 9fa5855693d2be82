"""The engine: what a run comes to, step by step, on a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from definitions import services as definitions
from definitions.models import Definition
from mcp_site.core.errors import Rejected
from tests.workflows.conftest import Bells, kinds_of_events, make_script, states
from workflows import outputs, services
from workflows.engine import store, sweeper, transitions
from workflows.engine.transitions import End
from workflows.engine.worker import Worker
from workflows.errors import NothingToRun, PartUnavailable, RunNotCancellable
from workflows.models import Attempt, Event, Run, StepRun, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]

FAILS = "def main():\n    raise ValueError('on purpose')\n"


def finish(worker: Worker, run: Run) -> Run:
    """Ring until the run has ended."""
    for _ in range(20):
        worker.work("llm")
        run.refresh_from_db()
        if run.is_terminal:
            return run
    pytest.fail(f"run is {run.state}: {states(run)}")


def test_a_chain_runs_in_order_and_passes_values_on(start: Start, worker: Worker) -> None:
    run = start({"key": "a"}, {"key": "b", "inputs": {"text": "${{ steps.a.output.provider }}"}})

    finish(worker, run)

    assert (run.state, states(run)) == ("succeeded", {"a": "succeeded", "b": "succeeded"})
    assert kinds_of_events(run) == [
        "run.queued",
        "step.ready",
        "run.running",
        "step.running",
        "step.succeeded",
        "step.running",
        "step.succeeded",
        "run.succeeded",
    ]


def test_event_numbers_have_no_gap_and_times_never_run_backwards(start: Start, worker: Worker) -> None:
    run = finish(worker, start({"key": "a"}, {"key": "m", "for_each": [1, 2, 3]}, {"key": "z", "needs": ["a", "m"]}))

    events = list(Event.objects.filter(run=run).order_by("number"))

    assert [event.number for event in events] == list(range(1, run.events + 1))
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_a_failure_skips_what_needs_it_and_names_itself(ben: User, start: Start, worker: Worker) -> None:
    bad = make_script(ben, FAILS)
    run = finish(worker, start({"key": "a", "definition": bad.slug}, {"key": "b", "needs": ["a"]}))

    assert (run.state, run.reason) == ("failed", "step a did not succeed")
    assert states(run) == {"a": "failed", "b": "skipped"}
    error = StepRun.objects.get(run=run, key="a").error
    assert error["class"] == "user_error"
    assert "ValueError: on purpose" in error["message"]


def test_a_handler_that_is_the_only_successor_catches_the_failure(ben: User, start: Start, worker: Worker) -> None:
    bad = make_script(ben, FAILS)
    run = start({"key": "a", "definition": bad.slug}, {"key": "handler", "needs": ["a"], "join": "any_failed"})

    assert finish(worker, run).state == "succeeded"


def test_a_clean_up_step_never_hides_a_failure(ben: User, start: Start, worker: Worker) -> None:
    bad = make_script(ben, FAILS)
    run = start({"key": "a", "definition": bad.slug}, {"key": "clean", "needs": ["a"], "join": "all_done"})

    assert finish(worker, run).state == "failed"
    assert states(run)["clean"] == "succeeded"


def test_a_false_condition_skips_harmlessly(start: Start, worker: Worker) -> None:
    run = start({"key": "a", "when": "${{ inputs.go }}"}, {"key": "b", "needs": ["a"]}, inputs={"go": False})

    assert finish(worker, run).state == "succeeded"
    assert [(s.state, s.reason) for s in run.step_runs.order_by("n")] == [
        ("skipped", "condition_false"),
        ("skipped", "not_needed"),
    ]


def test_a_condition_that_is_no_truth_value_fails_the_step(start: Start, worker: Worker) -> None:
    run = finish(worker, start({"key": "a", "when": "${{ inputs.go }}"}, inputs={"go": "yes"}))

    assert "must give true or false" in StepRun.objects.get(run=run).error["message"]


def test_a_mapped_step_gives_its_items_in_order(start: Start, worker: Worker) -> None:
    run = start({"key": "m", "for_each": "${{ inputs.list }}", "max_parallel": 2}, inputs={"list": list(range(7))})

    finish(worker, run)

    assert run.state == "succeeded"
    parent = StepRun.objects.get(run=run, key="m", index=None)
    assert (parent.need, parent.ok) == (7, 7)
    assert len(outputs.output_of_step(parent)[0]) == 7


def test_no_more_items_are_on_their_way_than_the_graph_allows(start: Start, worker: Worker) -> None:
    run = start({"key": "m", "for_each": list(range(10)), "max_parallel": 3})
    claimed = transitions.claim(["llm"], worker.name, 1, 30.0)

    transitions.expand(claimed.taken[0], worker.name, str(list(range(10))), 3)

    assert StepRun.objects.filter(run=run, state="ready").count() == 3


def test_an_empty_list_makes_an_empty_output(start: Start, worker: Worker) -> None:
    run = finish(worker, start({"key": "m", "for_each": []}, {"key": "n", "inputs": {"x": "${{ steps.m.output }}"}}))

    assert run.state == "succeeded"
    assert StepRun.objects.get(run=run, key="m").output == []


def test_one_bad_item_fails_its_parent_and_lets_the_others_finish(ben: User, start: Start, worker: Worker) -> None:
    picky = make_script(ben, "def main(x: int):\n    return 10 // x\n")
    run = start({"key": "m", "definition": picky.slug, "for_each": [1, 0, 5], "inputs": {"x": "${{ item }}"}})

    finish(worker, run)

    parent = StepRun.objects.get(run=run, key="m", index=None)
    assert (run.state, parent.state, parent.error["message"]) == ("failed", "failed", "1 of 3 items did not succeed")
    assert outputs.output_of_step(parent)[0] == [10, None, 2]


def test_what_is_not_a_list_can_not_be_mapped(start: Start, worker: Worker) -> None:
    run = finish(worker, start({"key": "m", "for_each": "${{ inputs.x }}"}, inputs={"x": {"a": 1}}))

    assert "must give a list" in StepRun.objects.get(run=run).error["message"]


def test_inputs_that_break_the_schema_fail_with_their_path(ben: User, start: Start, worker: Worker) -> None:
    typed = make_script(ben, "def main(n: int):\n    return n\n")
    run = start({"key": "a", "definition": typed.slug, "inputs": {"n": "${{ inputs.n }}"}}, inputs={"n": "text"})

    finish(worker, run)

    error = StepRun.objects.get(run=run).error
    assert error["class"] == "schema_error"
    assert "inputs.n must be of type integer" in error["message"]


def test_a_passing_error_is_tried_again_and_then_succeeds(ben: User, start: Start, worker: Worker) -> None:
    shy = make_script(ben, "import time\ndef main():\n    time.sleep(30)\n")
    run = start(
        {
            "key": "a",
            "definition": shy.slug,
            "timeout": {"attempt": "200ms"},
            "retry": {"max_attempts": 2, "delay": "10ms", "jitter": False},
        }
    )

    worker.work("script")
    assert states(run) == {"a": "retrying"}
    time.sleep(0.05)
    sweeper.sweep()
    assert states(run) == {"a": "ready"}
    worker.work("script")

    run.refresh_from_db()
    assert (run.state, states(run)) == ("failed", {"a": "timed_out"})
    assert [a.outcome for a in Attempt.objects.filter(run_id=run.pk).order_by("number")] == ["retrying", "timed_out"]


def test_a_large_output_goes_to_the_artifact_store_and_comes_back_whole(
    ben: User, start: Start, worker: Worker
) -> None:
    wide = make_script(ben, "def main():\n    return {'text': 'x' * 200_000}\n")
    run = start(
        {"key": "a", "definition": wide.slug},
        {"key": "b", "when": "${{ size(steps.a.output.text) == 200000 }}"},
        output="${{ steps.a.output }}",
    )

    finish(worker, run)

    assert states(run) == {"a": "succeeded", "b": "succeeded"}
    assert StepRun.objects.get(run=run, key="a").output is None
    assert outputs.output_of_run(run)[0] == {"text": "x" * 200_000}


@pytest.mark.parametrize("value", ["'\\x00'", "float('nan')", "'\\ud800'", "{1, 2}"])
def test_an_output_that_can_not_be_stored_is_the_authors_fault(
    ben: User, start: Start, worker: Worker, value: str
) -> None:
    odd = make_script(ben, f"def main():\n    return {value}\n")
    run = finish(worker, start({"key": "a", "definition": odd.slug}))

    assert states(run) == {"a": "failed"}
    assert StepRun.objects.get(run=run).error["class"] in ("schema_error", "user_error")


def test_a_late_result_of_another_token_is_dropped(start: Start, worker: Worker) -> None:
    run = start({"key": "a"})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]

    stale = End(run.pk, 0, taken.attempt + 1, "succeeded", output="1")
    stranger = End(run.pk, 0, taken.attempt, "succeeded", output="2")
    assert transitions.complete([stale], worker.name, [], 0, 30.0)[0] == set()
    assert transitions.complete([stranger], "somebody else", [], 0, 30.0)[0] == set()
    assert transitions.complete([stranger], worker.name, [], 0, 30.0)[0] == {(run.pk, 0)}
    assert transitions.complete([stranger], worker.name, [], 0, 30.0)[0] == set()

    assert StepRun.objects.get(run=run).output == 2


def test_a_lost_lease_is_taken_back_and_done_again_by_another(start: Start, worker: Worker, bells: Bells) -> None:
    run = start({"key": "a"})
    lost = transitions.claim(["llm"], "a worker that dies", 1, 0.01).taken[0]
    time.sleep(0.05)
    sweeper.sweep()
    assert (states(run), bells.rung[-1]) == ({"a": "ready"}, "llm")
    finish(worker, run)

    zombie = End(run.pk, 0, lost.attempt, "succeeded", output='"zombie"')
    assert transitions.complete([zombie], "a worker that dies", [], 0, 30.0)[0] == set()
    assert (run.state, StepRun.objects.get(run=run).losses) == ("succeeded", 1)


def test_a_step_lost_three_times_has_crashed(start: Start) -> None:
    run = start({"key": "a"})
    for _ in range(3):
        transitions.claim(["llm"], "a worker that dies", 1, 0.01)
        time.sleep(0.03)
        sweeper.sweep()

    run.refresh_from_db()
    assert (run.state, states(run)) == ("failed", {"a": "crashed"})


def test_a_lost_script_is_not_done_twice_unless_it_says_that_it_may(ben: User, start: Start) -> None:
    for idempotent, expected in ((False, "crashed"), (True, "ready")):
        script = make_script(ben, "def main():\n    return 1\n", idempotent=idempotent)
        run = start({"key": "a", "definition": script.slug})
        transitions.claim(["script"], "a worker that dies", 1, 0.01)
        time.sleep(0.03)
        sweeper.sweep()
        assert states(run) == {"a": expected}


def test_cancel_ends_what_has_not_started_at_once(start: Start, ben: User) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})

    services.cancel_run(run=run, by=ben)

    assert (run.state, states(run)) == ("cancelled", {"a": "cancelled", "b": "cancelled"})
    with pytest.raises(RunNotCancellable):
        services.cancel_run(run=run, by=ben)


def test_after_a_cancel_a_running_step_releases_nothing(start: Start, worker: Worker, ben: User) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]

    assert services.cancel_run(run=run, by=ben).state == "cancelling"
    assert transitions.heartbeat(worker.name, 30.0, [(taken.id, taken.attempt)]) == {taken.id: "cancel"}
    transitions.complete([End(run.pk, 0, taken.attempt, "succeeded", output="1")], worker.name, ["llm"], 16, 30.0)

    run.refresh_from_db()
    assert (run.state, states(run)) == ("cancelled", {"a": "succeeded", "b": "cancelled"})


def test_a_retry_is_not_left_alive_in_a_cancelling_run(start: Start, worker: Worker, ben: User) -> None:
    run = start({"key": "a"})
    taken = transitions.claim(["llm"], worker.name, 1, 30.0).taken[0]
    services.cancel_run(run=run, by=ben)

    end = End(run.pk, 0, taken.attempt, "retrying", reason="awaiting_retry", delay=1.0)
    transitions.complete([end], worker.name, [], 0, 30.0)

    run.refresh_from_db()
    assert (run.state, states(run)) == ("cancelled", {"a": "cancelled"})


def test_terminal_rows_never_change(start: Start, worker: Worker) -> None:
    finish(worker, start({"key": "a"}))

    for table in ("workflow_runs", "workflow_step_executions"):
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"update {table} set priority = 9")


def test_higher_priority_goes_first(start: Start, worker: Worker, ben: User) -> None:
    low = start({"key": "a"})
    high = services.start_run(workflow=low.workflow, inputs={}, by=ben, priority=9)

    assert transitions.claim(["llm"], worker.name, 1, 30.0).taken[0].run == high.pk


def test_a_claim_takes_one_long_step_or_many_short_ones(ben: User, start: Start, worker: Worker) -> None:
    script = make_script(ben, "def main():\n    return 1\n")
    for _ in range(3):
        start({"key": "a", "definition": script.slug})
    for _ in range(3):
        start({"key": "a"})

    assert len(transitions.claim(["script"], worker.name, 16, 30.0).taken) == 1
    assert len(transitions.claim(["llm"], worker.name, 16, 30.0).taken) == 3


def test_pins_are_taken_once_for_the_whole_run(start: Start, worker: Worker, prompt: Definition, ben: User) -> None:
    run = start({"key": "a"}, {"key": "b", "needs": ["a"]})
    newer = {"provider": "dry-run", "messages": [{"role": "user", "content": "Something else"}]}
    definitions.save_version(by=ben, definition=prompt, config=newer, input_schema={"type": "object"})
    finish(worker, run)

    run.refresh_from_db()
    assert {key: pin["number"] for key, pin in run.pins.items()} == {"a": 1, "b": 1}
    assert "Say hello" in str(StepRun.objects.get(run=run, key="b").output)


def test_an_archived_part_refuses_the_start_and_is_named(
    start: Start, prompt: Definition, ada: User, ben: User
) -> None:
    run = start({"key": "a"})
    services.cancel_run(run=run, by=ben)
    definitions.archive_definition(by=ada, definition=prompt, force=True)

    with pytest.raises(PartUnavailable, match="echo"):
        services.start_run(workflow=run.workflow, inputs={}, by=ben)


def test_a_workflow_without_a_version_starts_nothing(ben: User) -> None:
    workflow = services.create_workflow(by=ben, slug="empty", name="Empty")

    with pytest.raises(NothingToRun):
        services.start_run(workflow=workflow, inputs={}, by=ben)


def test_inputs_are_held_to_the_schema_and_filled_with_defaults(prompt: Definition, ben: User) -> None:
    schema = {
        "type": "object",
        "properties": {"region": {"type": "string"}, "top": {"type": "integer", "default": 5}},
        "required": ["region"],
        "additionalProperties": False,
    }
    workflow = services.create_workflow(
        by=ben, slug="typed", name="Typed", graph={"inputs": schema, "steps": [{"key": "a", "definition": "echo"}]}
    )

    run = services.start_run(workflow=workflow, inputs={"region": "emea"}, by=ben)
    with pytest.raises(Rejected) as refused:
        services.start_run(workflow=workflow, inputs={"region": 1, "extra": True}, by=ben)

    assert run.inputs == {"region": "emea", "top": 5}
    assert {problem.path for problem in refused.value.problems} == {"inputs.region", "inputs.extra"}
    assert Run.objects.filter(workflow=workflow).count() == 1


def test_identical_content_is_not_a_new_version(start: Start, ben: User) -> None:
    run = start({"key": "a"})
    workflow = Workflow.objects.get(pk=run.workflow_id)

    version, created = services.save_version(by=ben, workflow=workflow, graph=run.document())

    assert (version.number, created) == (1, False)


def test_versions_of_workflows_never_change(start: Start) -> None:
    run = start({"key": "a"})

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("update workflow_versions set note = 'x' where id = %s", [run.version_id])


def test_the_functions_in_the_database_are_those_in_the_files() -> None:
    folder = Path(store.__file__).parent / "sql"
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.sql")))
    with connection.cursor() as cursor:
        cursor.execute("select proname, prosrc from pg_proc where proname like 'wf\\_%'")
        installed = dict(cursor.fetchall())

    assert installed
    for name, source in installed.items():
        assert source.strip() in text, f"{name} differs from its file"


def test_the_worker_hands_back_what_it_can_not_finish(ben: User, start: Start, worker: Worker) -> None:
    slow = make_script(ben, "import time\ndef main():\n    time.sleep(60)\n")
    run = start({"key": "a", "definition": slow.slug})
    thread = threading.Thread(target=_work_and_close, args=(worker,))
    thread.start()
    deadline = time.monotonic() + 10
    while states(run)["a"] != "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    worker.retiring.set()
    worker._hand_back()
    thread.join(15)

    step = StepRun.objects.get(run=run)
    assert (step.state, step.reason, run.finished_at) == ("ready", "handed_back", None)


def _work_and_close(worker: Worker) -> None:
    try:
        worker.work("script")
    finally:
        connection.close()


def test_usage_and_the_definition_are_kept_with_the_attempt(ben: User, start: Start, worker: Worker) -> None:
    script = make_script(ben, "def main():\n    print('hello')\n    return 1\n")
    run = finish(worker, start({"key": "a", "definition": script.slug}))

    attempt = Attempt.objects.get(run_id=run.pk)
    assert attempt.usage["definition"] == f"{script.slug}@1"
    assert attempt.usage["isolation"]
    assert attempt.ended_at - attempt.started_at < timedelta(seconds=30)
    assert run.log_chunks.get(stream="stdout").text == "hello\n"


def test_a_queue_that_nobody_serves_is_rung_ever_less_often() -> None:
    patience = sweeper.Patience()
    moments = [now for now in range(0, 600, 2) if patience.due(["gpu"], float(now))]

    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert moments[0] == 0
    assert pauses == sorted(pauses)
    assert pauses[-1] == sweeper.LONGEST
    assert patience.due([], 600.0) == []
    assert patience.due(["gpu"], 601.0) == ["gpu"]


def test_ready_steps_that_nobody_took_are_rung_for_again(start: Start, bells: Bells) -> None:
    start({"key": "a"})
    bells.rung.clear()
    time.sleep(1.1)

    sweeper.sweep()

    assert bells.rung == ["llm"]
