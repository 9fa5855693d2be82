"""Approvals: who may decide, how many must, what closes them, and two who decide at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from mcp_site.core.errors import Conflict, Forbidden, Rejected
from tests.workflows.conftest import kinds_of_events, states
from tests.workflows.test_engine import finish
from workflows import services, signals
from workflows.engine import approvals as engine
from workflows.engine import sweeper
from workflows.engine.worker import Worker
from workflows.errors import ApprovalClosed, SelfApproval
from workflows.models import Approval, Decision, Run, StepRun, Verdict, Workflow

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Run]
APPROVE, REJECT = Verdict.APPROVE, Verdict.REJECT


def asked(worker: Worker, run: Run, key: str = "ok") -> Approval:
    """Work until the step waits for people."""
    worker.work("control")
    return Approval.objects.for_api().get(run=run, step__key=key)


def gate(**rules: Any) -> dict[str, Any]:
    """Return an approval step."""
    return {"key": "ok", "approval": rules}


def test_an_approved_step_goes_on_and_says_who_approved(ada: User, start: Start, worker: Worker) -> None:
    run = start(
        {"key": "a"},
        {"key": "ok", "approval": {"message": "Send ${{ steps.a.output.provider }}?"}},
        {"key": "b", "needs": ["ok"], "inputs": {"by": "${{ steps.ok.output.decisions[0].by.full_name }}"}},
    )
    worker.work("llm")
    approval = asked(worker, run)
    step = StepRun.objects.get(run=run, key="ok")
    assert (step.state, step.reason, approval.message) == ("waiting", "awaiting_approval", "Send dry-run?")
    assert worker.work("control") == 0, "it holds no worker"

    decided = services.decide(approval=approval, by=ada, verdict=APPROVE, comment="go")
    finish(worker, run)

    assert (decided.state, run.state) == ("approved", "succeeded")
    step.refresh_from_db()
    assert (step.state, step.reason, step.output["approved"]) == ("succeeded", "approved", True)
    assert step.output["decisions"][0]["comment"] == "go"
    event = AuditEvent.objects.get(action="approval.approve")
    assert (event.actor, event.object_id, event.changes["step"]) == (ada, str(run.uid), [None, "ok"])


def test_one_rejection_fails_the_step_and_can_be_handled(ada: User, start: Start, worker: Worker) -> None:
    run = start(gate(required=3), {"key": "no", "needs": ["ok"], "join": "any_failed"})
    approval = asked(worker, run)

    services.decide(approval=approval, by=ada, verdict=REJECT, comment="too early")
    finish(worker, run)

    assert (run.state, states(run)) == ("succeeded", {"ok": "failed", "no": "succeeded"})
    step = StepRun.objects.get(run=run, key="ok")
    assert (step.reason, step.error["class"], step.output["approved"]) == ("rejected", "rejected", False)
    assert "too early" in step.error["message"]
    with pytest.raises(ApprovalClosed):
        services.decide(approval=approval, by=ada, verdict=APPROVE)


def test_as_many_must_approve_as_required_and_nobody_twice(ada: User, dov: User, start: Start, worker: Worker) -> None:
    run = start(gate(required=2, allow_self=True))
    approval = asked(worker, run)

    services.decide(approval=approval, by=ada, verdict=APPROVE)
    assert states(run) == {"ok": "waiting"}
    with pytest.raises(Conflict, match="already"):
        services.decide(approval=approval, by=ada, verdict=APPROVE)
    assert "step.note" in kinds_of_events(run)
    ben = run.started_by
    assert ben is not None
    services.decide(approval=approval, by=ben, verdict=APPROVE)

    run.refresh_from_db()
    assert (run.state, Decision.objects.count()) == ("succeeded", 2)


def test_who_started_the_run_may_not_decide(ben: User, start: Start, worker: Worker) -> None:
    approval = asked(worker, start(gate()))

    with pytest.raises(SelfApproval):
        services.decide(approval=approval, by=ben, verdict=APPROVE)


def test_roles_and_names_say_who_may(ada: User, ben: User, cyd: User, dov: User, start: Start, worker: Worker) -> None:
    by_role = asked(worker, start(gate(roles=["Viewer"])))
    by_name = asked(worker, start(gate(users=["cyd@example.com"])))
    by_right = asked(worker, start(gate()))
    private = start(gate(users=["cyd@example.com"]))
    Workflow.objects.filter(pk=private.workflow_id).update(visibility="private")
    hidden = asked(worker, private)

    def may(approval: Approval) -> list[str]:
        return [user.full_name for user in (ada, cyd, dov) if services.may_decide(approval, user)]

    assert may(by_role) == ["Ada", "Cyd"]
    assert may(by_name) == ["Cyd"]
    assert may(by_right) == ["Ada", "Dov"]
    assert may(hidden) == ["Cyd"], "a named approver may, whatever he sees"
    assert list(Approval.objects.visible_to(cyd).filter(pk=hidden.pk)) == [hidden]
    assert list(Approval.objects.visible_to(dov).filter(pk=hidden.pk)) == []
    with pytest.raises(Forbidden):
        services.decide(approval=by_name, by=dov, verdict=APPROVE)


def test_the_form_is_held_to_its_schema_and_comes_out(ada: User, start: Start, worker: Worker) -> None:
    form = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
    run = start(gate(form=form), output="${{ steps.ok.output.form.limit }}")
    approval = asked(worker, run)

    with pytest.raises(Rejected) as refused:
        services.decide(approval=approval, by=ada, verdict=APPROVE, form={"limit": "much"})
    assert [problem.path for problem in refused.value.problems] == ["form.limit"]
    with pytest.raises(Rejected):
        services.decide(approval=approval, by=ada, verdict=APPROVE)
    services.decide(approval=approval, by=ada, verdict=APPROVE, form={"limit": 7})
    finish(worker, run)

    assert run.output == 7


@pytest.mark.parametrize(
    ("rule", "state", "reason"),
    [
        ("reject", "failed", "rejected_by_timeout"),
        ("approve", "succeeded", "approved_by_timeout"),
        ("fail", "timed_out", "awaiting_approval"),
    ],
)
def test_when_nobody_decides_in_time_it_ends_as_written(
    start: Start, worker: Worker, rule: str, state: str, reason: str
) -> None:
    run = start(gate(timeout="100ms", on_timeout=rule))
    asked(worker, run)
    sweeper.sweep()
    assert states(run) == {"ok": "waiting"}
    time.sleep(0.15)
    sweeper.sweep()

    step = StepRun.objects.get(run=run)
    assert (step.state, step.reason, step.output["approved"]) == (state, reason, rule == "approve")


def test_reminders_come_while_it_is_open_and_stop_when_it_is_not(ada: User, start: Start, worker: Worker) -> None:
    heard: list[tuple[int, bool]] = []

    def listen(run_id: int, reminder: bool, **_: Any) -> None:
        heard.append((run_id, reminder))

    signals.approval_asked.connect(listen)
    try:
        run = start(gate(remind="1s"))
        approval = asked(worker, run)
        time.sleep(1.05)
        engine.sweep()
        engine.sweep()
        services.decide(approval=approval, by=ada, verdict=APPROVE)
        time.sleep(1.05)
        engine.sweep()
        engine.sweep()
    finally:
        signals.approval_asked.disconnect(listen)

    assert heard == [(run.pk, False), (run.pk, True)]
    assert kinds_of_events(run).count("step.note") == 1


def test_a_cancel_closes_it(ada: User, ben: User, start: Start, worker: Worker) -> None:
    run = start(gate())
    approval = asked(worker, run)

    services.cancel_run(run=run, by=ben)

    assert run.state == "cancelled"
    assert Approval.objects.for_api().get(pk=approval.pk).state == "closed"
    with pytest.raises(ApprovalClosed):
        services.decide(approval=approval, by=ada, verdict=APPROVE)


def test_each_item_asks_by_itself(ada: User, start: Start, worker: Worker) -> None:
    run = start({"key": "ok", "for_each": ["x", "y"], "approval": {"message": "Send ${{ item }}?"}})
    worker.work("control")
    first, second = Approval.objects.for_api().filter(run=run).order_by("step__index")
    assert [first.message, second.message] == ["Send x?", "Send y?"]

    for approval in (first, second):
        services.decide(approval=approval, by=ada, verdict=APPROVE)

    run.refresh_from_db()
    assert run.state == "succeeded"


def both_at_once(approval: Approval, *parts: tuple[User, Verdict]) -> list[str]:
    """Have them decide in threads of their own at the same moment; returns the verdicts that counted, and `closed`."""
    barrier = threading.Barrier(len(parts))
    outcomes: list[str] = []

    def decide(by: User, verdict: Verdict) -> None:
        try:
            barrier.wait(5)
            services.decide(approval=approval, by=by, verdict=verdict)
            outcomes.append(verdict)
        except ApprovalClosed:
            outcomes.append("closed")
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=part) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return outcomes


def test_of_two_who_decide_at_once_one_settles_it(ada: User, dov: User, start: Start, worker: Worker) -> None:
    for _ in range(10):
        run = start(gate())
        approval = asked(worker, run)

        outcomes = both_at_once(approval, (ada, APPROVE), (dov, REJECT))

        assert outcomes.count("closed") == 1
        winner = next(one for one in outcomes if one != "closed")
        assert states(run)["ok"] == ("succeeded" if winner == "approve" else "failed")
        assert Decision.objects.filter(approval=approval).count() == 1
        ends = [kind for kind in kinds_of_events(run) if kind in ("step.succeeded", "step.failed")]
        assert len(ends) == 1


def test_over_http(ada: User, ben: User, cyd: User, dov: User, api: Any, start: Start, worker: Worker) -> None:
    run = start(gate(message="Go?", users=["cyd@example.com"]))
    Workflow.objects.filter(pk=run.workflow_id).update(visibility="private")
    asked(worker, run)
    url = f"/api/v1/runs/{run.uid}/steps/ok"

    listed = api(cyd).get("/api/v1/approvals?state=open").json()["results"]
    assert [(one["step"], one["state"], one["may_decide"]) for one in listed] == [("ok", "open", True)]
    assert api(ben).get("/api/v1/approvals?state=open").json()["results"][0]["may_decide"] is False
    assert api(dov).get("/api/v1/approvals").json()["results"] == []
    assert api(dov).post(f"{url}/approve", {}).status_code == 404
    assert api(ada).post(f"{url}/approve", {}).status_code == 403
    answer = api(ben).post(f"{url}/approve", {})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "self_approval")
    answer = api(cyd).post(f"{url}/approve", {"comment": "ok", "why": 1})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "why")
    answer = api(cyd).post(f"{url}/approve", {"form": {"x": 1}})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "form")
    answer = api(cyd).post(f"{url}/approve", {"comment": "ok"})
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    answer = api(cyd).post(f"{url}/reject", {})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "approval_closed")
    answer = api(cyd).get("/api/v1/approvals?state=nonsense")
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "state")
    steps = api(ada).get(f"/api/v1/runs/{run.uid}/steps").json()["results"]
    assert (steps[0]["kind"], steps[0]["waiting_for"]) == ("approval", None)


def test_on_the_pages(ada: User, ben: User, browser: Any, start: Start, worker: Worker) -> None:
    form = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
    run = start(gate(message="Send <b>it</b>?", form=form))
    asked(worker, run)
    inbox = browser(ada).get("/approvals/").content.decode()
    assert "Send &lt;b&gt;it&lt;/b&gt;?" in inbox
    assert "For you" in inbox
    assert "For you" not in browser(ben).get("/approvals/").content.decode()
    page = browser(ada).get(f"/runs/{run.uid}/?step=ok").content.decode()
    assert 'value="approve"' in page

    client, url = browser(ada), f"/runs/{run.uid}/steps/ok/decide/"
    client.post(url, {"verdict": "approve", "inputs-0": "many"})
    assert states(run) == {"ok": "waiting"}
    response = client.post(url, {"verdict": "approve", "inputs-0": "5", "comment": "yes", "next": "approvals"})
    assert response["Location"] == "/approvals/"

    assert states(run) == {"ok": "succeeded"}
    assert StepRun.objects.get(run=run).output["form"] == {"limit": 5}
    assert "Approved" in browser(ada).get("/approvals/?state=approved").content.decode()


def test_a_list_takes_as_many_queries_as_one(
    ada: User, browser: Any, start: Start, worker: Worker, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        asked(worker, start(gate(roles=["Editor"])))
    client = browser(ada)
    client.get("/approvals/")
    with django_assert_max_num_queries(14):
        client.get("/approvals/")
