"""Child runs: a workflow as a step, how its end comes up, how a cancel goes down, and how deep it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import User
from definitions.models import Definition
from mcp_site.core.errors import Conflict
from tests.workflows.conftest import kinds_of_events, make_script, states
from tests.workflows.test_engine import finish
from workflows import services
from workflows.engine import children, sweeper, transitions
from workflows.engine.worker import Worker
from workflows.models import Run, StepRun, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]
MayBad = "def main(x=''):\n    if x == 'bad':\n        raise ValueError('bad')\n    return {'x': x}\n"


@pytest.fixture
def child(ben: User) -> Workflow:
    """A workflow that gives back what it is given, and fails for `bad`."""
    script = make_script(ben, MayBad)
    graph = {
        "inputs": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
        "steps": [{"key": "s", "definition": script.slug, "inputs": {"x": "${{ inputs.x }}"}}],
    }
    return services.create_workflow(by=ben, slug="child", name="Child", graph=graph)


@pytest.fixture
def caller() -> Iterator[Worker]:
    """A worker that starts child runs, and does nothing of them."""
    made = Worker(["control"], lease=30.0)
    yield made
    made.stop()


def child_of(run: Run, key: str = "c", index: int | None = None) -> Run:
    """Return the run that a step started."""
    return Run.objects.get(parent_step=StepRun.objects.get(run=run, key=key, index=index))


def test_its_output_comes_up_by_reference(
    start: Start, child: Workflow, ben: User, worker: Worker, caller: Worker
) -> None:
    run = start(
        {"key": "c", "workflow": "child", "inputs": {"x": "${{ inputs.x }}"}},
        {"key": "z", "inputs": {"text": "${{ steps.c.output.x }}"}},
        inputs={"x": "hi"},
        output="${{ steps.c.output }}",
    )
    caller.work("control")
    made = child_of(run)
    assert (states(run)["c"], StepRun.objects.get(run=run, key="c").reason) == ("waiting", "child_run")
    assert (made.trigger_kind, made.trigger_id, made.depth, made.started_by) == ("parent", str(run.uid), 1, ben)
    finish(worker, run)

    assert (run.state, child_of(run).state) == ("succeeded", "succeeded")
    step = StepRun.objects.get(run=run, key="c")
    assert (step.output, step.output_ref, step.reason) == (None, f"run:{made.pk}", "child_succeeded")
    assert services.preview_rerun(run=run, by=ben, start="z").shown[0].carried is not None
    assert kinds_of_events(run).count("step.waiting") == 1


def test_its_failure_fails_the_step_and_is_named(start: Start, child: Workflow, worker: Worker) -> None:
    run = finish(worker, start({"key": "c", "workflow": "child", "inputs": {"x": "bad"}}))

    error = StepRun.objects.get(run=run, key="c").error
    assert (run.state, run.reason, error["class"]) == ("failed", "step c did not succeed", "child_failed")
    assert f"run #{child_of(run).pk} was failed: step s did not succeed" == error["message"]


def test_inputs_that_do_not_fit_start_no_child(start: Start, child: Workflow, worker: Worker) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "${{ inputs.x }}"}}, inputs={"x": 5})
    finish(worker, run)

    error = StepRun.objects.get(run=run, key="c").error
    assert (run.state, error["class"], "inputs.x" in error["message"]) == ("failed", "schema_error", True)
    assert Run.objects.count() == 1


def test_each_item_has_a_child_of_its_own(start: Start, child: Workflow, worker: Worker) -> None:
    step = {"key": "c", "workflow": "child", "for_each": ["a", "bad", "b"], "inputs": {"x": "${{ item }}"}}
    run = finish(worker, start({**step, "allow_failed": 1}, output="${{ steps.c.output }}"))

    assert run.state == "succeeded"
    assert [child_of(run, index=i).state for i in range(3)] == ["succeeded", "failed", "succeeded"]


def test_a_cancel_goes_down_all_the_way(start: Start, ben: User, prompt: Definition, caller: Worker) -> None:
    services.create_workflow(
        by=ben,
        slug="low",
        name="Low",
        graph={"steps": [{"key": "s", "definition": "echo"}, {"key": "ok", "approval": {}}]},
    )
    services.create_workflow(by=ben, slug="mid", name="Mid", graph={"steps": [{"key": "m", "workflow": "low"}]})
    run = start({"key": "c", "workflow": "mid"})
    for _ in range(3):
        caller.work("control")
    mid = child_of(run)
    low = child_of(mid, "m")
    assert [mid.state, low.state, low.depth] == ["running", "running", 2]

    services.cancel_run(run=run, by=ben)

    assert [Run.objects.get(pk=one.pk).state for one in (run, mid, low)] == ["cancelled"] * 3
    assert states(low)["ok"] == "cancelled"


def test_a_timeout_and_fail_fast_end_children_too(start: Start, ben: User, prompt: Definition, caller: Worker) -> None:
    services.create_workflow(by=ben, slug="slow", name="Slow", graph={"steps": [{"key": "ok", "approval": {}}]})
    by_clock = start({"key": "c", "workflow": "slow", "timeout": {"total": "1s"}})
    by_item = start({"key": "c", "workflow": "slow", "for_each": [1, 2], "fail_fast": True})
    for _ in range(3):
        caller.work("control")
    first = child_of(by_item, index=0)
    services.cancel_run(run=first, by=ben)
    assert child_of(by_item, index=1).state == "cancelled"
    assert (Run.objects.get(pk=by_item.pk).state, states(by_item)["c"]) == ("failed", "failed")
    StepRun.objects.filter(run=by_clock).update(deadline_at="2020-01-01T00:00:00Z")
    sweeper.sweep()

    assert states(by_clock) == {"c": "timed_out"}
    assert child_of(by_clock).state == "cancelled"


def test_an_end_that_was_cut_short_is_repaired_by_the_sweeper(
    start: Start, child: Workflow, ben: User, worker: Worker, monkeypatch: pytest.MonkeyPatch, caller: Worker
) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}})
    other = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}})
    caller.work("control")
    with monkeypatch.context() as patch:
        patch.setattr(transitions, "child_ended", _die)
        patch.setattr(transitions, "cancel_orphans", _die)
        services.cancel_run(run=other, by=ben)
        worker.work("script")
    assert [states(run), child_of(run).state, child_of(other).state] == [{"c": "waiting"}, "succeeded", "succeeded"]

    sweeper.sweep()

    assert Run.objects.get(pk=run.pk).state == "succeeded"


def test_an_orphan_is_cancelled_by_the_sweeper(
    start: Start, child: Workflow, ben: User, caller: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}})
    caller.work("control")
    with monkeypatch.context() as patch:
        patch.setattr(transitions, "cancel_orphans", _die)
        services.cancel_run(run=run, by=ben)
    assert child_of(run).state == "queued"

    sweeper.sweep()

    assert child_of(run).state == "cancelled"


def _die(*_: Any) -> None:
    raise OperationalError("the connection broke after the commit")


def test_runs_are_only_so_deep_in_each_other(start: Start, ben: User, prompt: Definition, caller: Worker) -> None:
    run = start({"key": "a"})
    flow = run.workflow
    assert flow is not None
    services.save_version(by=ben, workflow=flow, graph={"steps": [{"key": "c", "workflow": flow.slug}]})
    services.start_run(workflow=flow, inputs={}, by=ben)
    for _ in range(children.MAX_DEPTH + 3):
        caller.work("control")

    deepest = Run.objects.order_by("-depth").first()
    assert deepest is not None
    assert deepest.depth == children.MAX_DEPTH
    assert "deep" in StepRun.objects.get(run=deepest).error["message"]
    assert Run.objects.filter(workflow=flow, depth__gte=0).exclude(pk=run.pk).filter(state="failed").count() == 9


def test_the_version_is_pinned_by_the_parent(start: Start, child: Workflow, ben: User, worker: Worker) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}})
    other = {"steps": [{"key": "s", "definition": "echo"}]}
    services.save_version(by=ben, workflow=child, graph=other)
    finish(worker, run)

    assert run.pins["c"]["number"] == 1
    made = child_of(run).version
    assert made is not None
    assert made.number == 1


def test_who_calls_it_keeps_it_from_being_archived(start: Start, child: Workflow, ben: User, ada: User) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}})
    assert run.workflow is not None

    with pytest.raises(Conflict, match=run.workflow.slug):
        services.archive_workflow(by=ben, workflow=child)
    services.archive_workflow(by=ada, workflow=child, force=True)
    with pytest.raises(Conflict, match="child"):
        services.start_run(workflow=run.workflow, inputs={}, by=ben)


def test_only_workflows_that_one_may_run_can_be_called(child: Workflow, dov: User, ben: User) -> None:
    Workflow.objects.filter(pk=child.pk).update(visibility="private")
    graph = {"steps": [{"key": "c", "workflow": "child", "inputs": {}}]}

    hidden = services.problems_of_graph(by=dov, graph=graph)
    own = services.problems_of_graph(by=ben, graph=graph)

    assert [(one.path, one.code) for one in hidden] == [("steps.0.workflow", "unknown_workflow")]
    assert [(one.path, one.code) for one in own] == [("steps.0.inputs.x", "required")]


def test_over_http_and_on_the_pages(
    start: Start, child: Workflow, ben: User, api: Any, browser: Any, caller: Worker
) -> None:
    run = start({"key": "c", "workflow": "child", "inputs": {"x": "hi"}}, {"key": "ok", "approval": {}})
    caller.work("control")
    made = child_of(run)
    step = api(ben).get(f"/api/v1/runs/{run.uid}/steps/c").json()
    assert step["child_run"] == {"id": str(made.uid), "number": made.pk, "state": "queued"}
    assert (step["waiting_for"], step["kind"]) == ("child_run", "workflow")
    assert api(ben).get(f"/api/v1/runs/{made.uid}").json()["trigger"] == {"kind": "parent", "id": str(run.uid)}
    client = browser(ben)
    assert f"/runs/{made.uid}/" in client.get(f"/runs/{run.uid}/?step=c").content.decode()
    assert f"/runs/{run.uid}/?step=c" in client.get(f"/runs/{made.uid}/").content.decode()
    assert client.get(f"/workflows/{run.workflow.slug}/").status_code == 200 if run.workflow else False
