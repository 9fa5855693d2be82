"""Reruns: what is taken over, what runs again and why, and that results are referenced, not copied."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from definitions import services as definitions
from definitions.models import Definition
from mcp_site.core.errors import Conflict, Forbidden, Rejected
from tests.workflows.conftest import kinds_of_events, make_script, states
from tests.workflows.test_engine import finish
from workflows import outputs, services
from workflows.engine.worker import Worker
from workflows.graph import verdict
from workflows.models import Attempt, Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]


@pytest.fixture
def picky(ben: User) -> Definition:
    """A script that fails for `bad`, and else tells what it was given."""
    code = "def main(x='', y=None):\n    if x == 'bad':\n        raise ValueError('bad')\n    return {'x': x, 'y': y}\n"
    return make_script(ben, code)


@pytest.fixture
def failed(picky: Definition, start: Start, worker: Worker) -> Run:
    """A run of a → b (fails for `bad`) → c, with d beside them and e after a."""
    run = start(
        {"key": "a", "definition": picky.slug, "inputs": {"x": "one"}},
        {"key": "b", "definition": picky.slug, "inputs": {"x": "${{ inputs.x }}", "y": "${{ steps.a.output.x }}"}},
        {"key": "c", "definition": picky.slug, "inputs": {"y": "${{ steps.b.output.x }}"}},
        {"key": "d", "when": False},
        {"key": "e", "definition": picky.slug, "inputs": {"y": "${{ steps.a.output.x }}"}},
        inputs={"x": "bad"},
        output={"b": "${{ steps.b.output }}", "a": "${{ steps.a.output }}"},
    )
    return finish(worker, run)


def actions(rerun: services.Rerun) -> dict[str, str]:
    """Return what happens to each step."""
    return {choice.step.key: "run" if choice.carried is None else choice.carried.state for choice in rerun.shown}


def test_python_and_sql_agree_on_the_verdict() -> None:
    rules = ("all_succeeded", "all_done", "any_succeeded", "any_failed", "none_failed", "handler")
    with connection.cursor() as cursor:
        for rule, need in itertools.product(rules, range(1, 4)):
            for ok, bad, skip in itertools.product(range(need + 1), repeat=3):
                if ok + bad + skip <= need:
                    cursor.execute("select wf_verdict_2(%s, %s, %s, %s, %s, 0, false)", [rule, need, ok, bad, skip])
                    assert cursor.fetchone()[0] == verdict(rule, need, ok, bad, skip)


def test_from_failed_takes_over_what_succeeded_and_runs_the_rest(failed: Run, ben: User, worker: Worker) -> None:
    preview = services.preview_rerun(run=failed, by=ben, start="failed", inputs={"x": "good"})
    run = services.rerun_run(run=failed, by=ben, start="failed", inputs={"x": "good"})

    assert actions(preview) == {"a": "succeeded", "b": "run", "c": "run", "d": "skipped", "e": "succeeded"}
    assert states(run) | {"_output": ""} == {
        "a": "succeeded", "b": "ready", "c": "pending", "d": "skipped", "e": "succeeded", "_output": "",
    }  # fmt: skip
    finish(worker, run)
    assert (run.state, run.rerun_of, run.trigger_kind) == ("succeeded", failed, "rerun")
    assert run.output == {"a": {"x": "one", "y": None}, "b": {"x": "good", "y": "one"}}
    assert {a.n for a in Attempt.objects.filter(run_id=run.pk)} == {1, 2, 5}
    reused = StepRun.objects.get(run=run, key="a")
    before = StepRun.objects.get(run=failed, key="a")
    assert (reused.output, reused.source, reused.reason) == (None, before, "reused")
    assert outputs.output_of_step(reused) == outputs.output_of_step(before)
    assert AuditEvent.objects.get(action="run.rerun").changes["from"] == [None, "failed"]
    assert kinds_of_events(run)[:3] == ["run.queued", "step.succeeded", "step.ready"]


def test_a_rerun_of_a_rerun_refers_to_where_the_result_came_from(failed: Run, ben: User, worker: Worker) -> None:
    again = finish(worker, services.rerun_run(run=failed, by=ben, start="failed"))
    third = finish(worker, services.rerun_run(run=again, by=ben, start="failed", inputs={"x": "good"}))

    assert (again.state, third.state) == ("failed", "succeeded")
    assert StepRun.objects.get(run=third, key="a").source == StepRun.objects.get(run=failed, key="a")


def test_from_a_step_runs_it_and_what_follows(failed: Run, ben: User, worker: Worker) -> None:
    good = finish(worker, services.rerun_run(run=failed, by=ben, start="start", inputs={"x": "good"}))

    preview = services.preview_rerun(run=good, by=ben, start="b")

    assert actions(preview) == {"a": "succeeded", "b": "run", "c": "run", "d": "skipped", "e": "succeeded"}
    assert {choice.step.key: choice.because for choice in preview.shown} == {
        "a": "it succeeded",
        "b": "it was asked for",
        "c": "it needs `b`, which runs again",
        "d": "it was skipped",
        "e": "it succeeded",
    }
    assert finish(worker, services.rerun_run(run=good, by=ben, start="b")).state == "succeeded"


def test_other_inputs_run_again_what_reads_them(failed: Run, ben: User, worker: Worker) -> None:
    good = finish(worker, services.rerun_run(run=failed, by=ben, start="start", inputs={"x": "good"}))

    with pytest.raises(Conflict) as refused:
        services.preview_rerun(run=good, by=ben, start="failed")
    other = services.preview_rerun(run=good, by=ben, start="failed", inputs={"x": "better"})

    assert refused.value.code == "nothing_to_rerun"
    assert actions(other) == {"a": "succeeded", "b": "run", "c": "run", "d": "skipped", "e": "succeeded"}
    assert other.shown[1].because == "it reads `inputs.x`, which is another now"


def test_the_newest_versions_run_again_what_changed(failed: Run, ben: User, picky: Definition, worker: Worker) -> None:
    good = finish(worker, services.rerun_run(run=failed, by=ben, start="start", inputs={"x": "good"}))
    workflow = failed.workflow
    assert workflow is not None
    graph = failed.document()
    steps = [{**step, "inputs": {"y": "else"}} if step["key"] == "e" else step for step in graph["steps"]]
    services.save_version(
        by=ben, workflow=workflow, graph={**graph, "steps": [*steps, {"key": "f", "definition": "echo"}]}
    )

    newest = services.preview_rerun(run=good, by=ben, start="failed", versions="newest")
    assert actions(newest) == {
        "a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "skipped", "e": "run", "f": "run",
    }  # fmt: skip

    definitions.save_version(
        by=ben,
        definition=picky,
        config={"language": "python", "code": "def main(x='', y=None):\n    return {'x': 2}\n"},
    )
    newest = services.preview_rerun(run=good, by=ben, start="failed", versions="newest")
    assert set(actions(newest).values()) == {"run", "skipped"}
    assert newest.shown[0].because == "its definition has another version"
    assert newest.version_of(newest.shown[0]) == f"{picky.slug}@2"
    with pytest.raises(Conflict):
        services.preview_rerun(run=good, by=ben, start="failed", versions="same")
    run = finish(worker, services.rerun_run(run=good, by=ben, start="failed", versions="newest"))
    assert (run.state, run.version.number if run.version else None) == ("succeeded", 2)


def test_a_mapped_steps_result_and_items_are_read_where_they_are(
    start: Start, picky: Definition, ben: User, worker: Worker
) -> None:
    run = start(
        {"key": "m", "definition": picky.slug, "for_each": ["p", "q"], "inputs": {"x": "${{ item }}"}},
        {
            "key": "z",
            "definition": picky.slug,
            "inputs": {"x": "${{ inputs.x }}", "y": "${{ steps.m.items.map(i, i.output.x) }}"},
        },
        inputs={"x": "bad"},
        output="${{ steps.z.output }}",
    )
    finish(worker, run)

    again = finish(worker, services.rerun_run(run=run, by=ben, start="failed", inputs={"x": "good"}))

    assert (again.state, again.output) == ("succeeded", {"x": "good", "y": ["p", "q"]})
    assert again.steps == 2, "no item was copied"
    assert outputs.output_of_step(StepRun.objects.get(run=again, key="m"))[0] == [
        {"x": "p", "y": None},
        {"x": "q", "y": None},
    ]


@pytest.mark.parametrize(("rule", "expected"), [("any_succeeded", "ready"), ("all_succeeded", "pending")])
def test_a_join_that_is_decided_by_what_was_taken_over_starts_at_once(
    start: Start, picky: Definition, ben: User, worker: Worker, rule: str, expected: str
) -> None:
    run = start(
        {"key": "a", "definition": picky.slug, "inputs": {"x": "one"}},
        {"key": "b", "definition": picky.slug, "inputs": {"x": "${{ inputs.x }}"}},
        {"key": "j", "definition": picky.slug, "needs": ["a", "b"], "join": rule, "inputs": {"x": "${{ inputs.x }}"}},
        inputs={"x": "bad"},
    )
    finish(worker, run)

    again = services.rerun_run(run=run, by=ben, start="failed", inputs={"x": "good"})

    assert states(again) == {"a": "succeeded", "b": "ready", "j": expected}
    assert finish(worker, again).state == "succeeded"


def test_a_handler_that_nothing_calls_for_is_not_run(
    start: Start, picky: Definition, ben: User, worker: Worker
) -> None:
    run = start(
        {"key": "a", "definition": picky.slug, "inputs": {"x": "${{ inputs.x }}"}},
        {"key": "h", "needs": ["a"], "join": "any_failed"},
        inputs={"x": "bad"},
        on_failure={"definition": "echo"},
    )
    finish(worker, run)

    again = finish(worker, services.rerun_run(run=run, by=ben, start="failed", inputs={"x": "good"}))
    assert states(again) == {"a": "succeeded", "h": "skipped", "on_failure": "skipped"}
    with pytest.raises(Conflict, match="nothing to run"):
        services.preview_rerun(run=again, by=ben, start="failed")


def test_a_one_step_run_runs_again_with_the_same_or_the_newest_version(
    ben: User, prompt: Definition, worker: Worker
) -> None:
    run = finish(worker, services.start_definition_run(definition=prompt, inputs={}, by=ben))
    newer = {"provider": "dry-run", "messages": [{"role": "user", "content": "Something else"}]}
    definitions.save_version(by=ben, definition=prompt, config=newer, input_schema={"type": "object"})

    same = finish(worker, services.rerun_run(run=run, by=ben, start="start"))
    newest = finish(worker, services.rerun_run(run=run, by=ben, start="start", versions="newest"))

    assert (same.state, same.output) == ("succeeded", run.output)
    assert "Something else" in str(newest.output)


def test_it_says_why_it_can_not(failed: Run, ben: User, cyd: User, ada: User, start: Start, picky: Definition) -> None:
    with pytest.raises(Forbidden):
        services.rerun_run(run=failed, by=cyd, start="start")
    with pytest.raises(Rejected) as refused:
        services.rerun_run(run=failed, by=ben, start="nowhere")
    assert refused.value.attr == "from"
    with pytest.raises(Conflict, match="not ended"):
        services.rerun_run(run=start({"key": "a"}), by=ben, start="start")
    definitions.archive_definition(by=ada, definition=picky, force=True)
    with pytest.raises(Conflict, match=picky.slug):
        services.rerun_run(run=failed, by=ben, start="start")


def test_over_http(failed: Run, ben: User, cyd: User, api: Any, worker: Worker) -> None:
    url = f"/api/v1/runs/{failed.uid}/rerun"
    body = {"from": "failed", "inputs": {"x": "good"}, "versions": "same"}

    preview = api(ben).post(f"{url}/preview", body).json()["steps"]
    assert [(one["key"], one["action"]) for one in preview] == [
        ("a", "reuse"), ("b", "run"), ("c", "run"), ("d", "reuse"), ("e", "reuse"),
    ]  # fmt: skip
    assert api(cyd).post(url, body).status_code == 403
    made = api(ben).post(url, body)
    assert (made.status_code, made.json()["rerun_of"]) == (201, str(failed.uid))
    assert made.headers["Location"] == f"/api/v1/runs/{made.json()['id']}"
    for wrong, attr in (({}, "from"), ({"from": "failed", "version": 1}, "version"), ({"from": "zz"}, "from")):
        answer = api(ben).post(url, wrong)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)
    steps = api(ben).get(f"/api/v1/runs/{made.json()['id']}/steps").json()["results"]
    assert steps[0]["reused_from"] == {"id": str(failed.uid), "number": failed.pk}
    assert steps[1]["reused_from"] is None
    one = api(ben).get(f"/api/v1/runs/{made.json()['id']}/steps/a").json()
    assert (one["output"], one["tries"]) == ({"x": "one", "y": None}, [])


def test_on_the_pages(failed: Run, ben: User, cyd: User, browser: Any, worker: Worker) -> None:
    client = browser(ben)
    assert "From what failed" in client.get(f"/runs/{failed.uid}/").content.decode()
    page = client.get(f"/runs/{failed.uid}/rerun/?start=failed").content.decode()
    assert "3 of 5 taken over" in page
    assert "what it needs did not succeed" in page
    url = f"/runs/{failed.uid}/rerun/"
    other = client.post(url, {"start": "e", "versions": "same", "inputs": '{"x": "good"}', "preview": "1"})
    assert "it was asked for" in other.content.decode()
    assert Run.objects.count() == 1
    refused = client.post(url, {"start": "gone", "versions": "same", "inputs": "{}"})
    assert (refused.status_code, "the key of a step" in refused.content.decode()) == (400, True)
    made = client.post(url, {"start": "failed", "versions": "same", "inputs": '{"x": "good"}'})
    run = Run.objects.exclude(pk=failed.pk).get()
    assert made["Location"] == f"/runs/{run.uid}/"
    assert "Taken over from" in client.get(f"/runs/{run.uid}/?step=a").content.decode()
    assert browser(cyd).get(url).status_code == 403
