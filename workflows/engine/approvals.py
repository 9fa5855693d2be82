"""Steps that wait for people: asking, deciding, reminding, and what happens when nobody answers.

Whether an approval is open is its step's state, so a cancel or a clock that ends the step closes it too. Everything
here takes the run's lock first, so of two who decide at once the second sees what the first has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from mcp_site.core.errors import Conflict
from workflows.engine import transitions
from workflows.engine.inputs import encode
from workflows.engine.transitions import Taken
from workflows.errors import ApprovalClosed
from workflows.graph import Approval as Asked
from workflows.models import Approval, Decision, StepRun, Verdict
from workflows.signals import approval_asked
from workflows.states import APPROVAL_KIND, StepState

BATCH = 200


@transaction.atomic
def ask(taken: Taken, worker: str, asked: Asked, message: str) -> bool:
    """Let the step wait for people, and write down what they are asked. False: it was taken away."""
    data = {"message": message[:300], "required": asked.required}
    if not transitions.wait(taken, worker, "awaiting_approval", asked.timeout, data):
        return False
    approval = Approval.objects.create(
        step_id=taken.id,
        run_id=taken.run,
        message=message,
        roles=list(asked.roles),
        required=asked.required,
        allow_self=asked.allow_self,
        form=asked.form,
        on_timeout=asked.on_timeout,
        remind_every=asked.remind,
        remind_at=Now() + timedelta(seconds=asked.remind) if asked.remind is not None else None,
    )
    emails = {email.lower() for email in asked.users}
    if emails:
        approval.users.set(User.objects.filter(email__in=emails))
    _announce(approval, reminder=False)
    return True


def _announce(approval: Approval, *, reminder: bool) -> None:
    send = partial(approval_asked.send, sender=None, run_id=approval.run_id, step_id=approval.step_id)
    transaction.on_commit(partial(send, reminder=reminder))


@transaction.atomic
def decide(
    approval: Approval, by: User, verdict: Verdict, comment: str = "", form: Mapping[str, Any] | None = None
) -> bool:
    """Write down what `by` decided, and end the step if that settles it (True). One rejection settles it.

    The caller has asked whether `by` may. Raises ApprovalClosed, Conflict (decided already).
    """
    step = _locked(approval)
    if step is None:
        raise ApprovalClosed
    if Decision.objects.filter(approval=approval, by=by).exists():
        raise Conflict("You have decided this already.", code="already_decided")
    Decision.objects.create(approval=approval, by=by, verdict=verdict, comment=comment, form=form)
    agreed = Decision.objects.filter(approval=approval, verdict=Verdict.APPROVE).count()
    if verdict == Verdict.REJECT:
        error = {"class": "rejected", "message": f"{by} rejected it" + (f": {comment}" if comment else "")}
        _end(approval, step, StepState.FAILED, "rejected", approved=False, error=error)
    elif agreed >= approval.required:
        _end(approval, step, StepState.SUCCEEDED, "approved", approved=True)
    else:
        said = {"approved": agreed, "required": approval.required, "by": str(by)}
        transitions.note_of_step(step, "step.note", said)
        return False
    return True


def _locked(approval: Approval) -> StepRun | None:
    """Return the step under its run's lock if it still waits; call inside a transaction that holds nothing else."""
    transitions.lock(approval.run_id)
    step = StepRun.objects.only("run", "n", "key", "index", "attempt", "state", "wake_at").get(pk=approval.step_id)
    return step if step.state == StepState.WAITING else None


def _end(
    approval: Approval, step: StepRun, state: StepState, reason: str, *, approved: bool, error: Any = None
) -> None:
    decisions = list(Decision.objects.filter(approval=approval).select_related("by").order_by("id"))
    forms = [one.form for one in decisions if one.verdict == Verdict.APPROVE and one.form is not None]
    output = {
        "approved": approved,
        "form": forms[-1] if forms else None,
        "decisions": [
            {
                "by": {"id": str(one.by.uid), "full_name": one.by.full_name} if one.by is not None else None,
                "verdict": one.verdict,
                "comment": one.comment,
                "form": one.form,
                "at": one.at.isoformat(),
            }
            for one in decisions
        ],
    }
    text, ref = encode(output)
    transitions.end_waiting(step, state, reason, output=text, ref=ref, error=error)


def sweep() -> None:
    """End what nobody decided in time as its author wished, and remind of what is still open."""
    late = StepRun.objects.filter(kind=APPROVAL_KIND, state=StepState.WAITING, wake_at__lte=Now())
    for approval in Approval.objects.filter(step__in=late).order_by("run_id", "step_id")[:BATCH]:
        with transaction.atomic():
            step = _locked(approval)
            if step is not None and step.wake_at is not None:
                _expire(approval, step)
    due = Approval.objects.filter(remind_at__lte=Now()).select_related("step").order_by("run_id", "step_id")
    for approval in due[:BATCH]:
        with transaction.atomic():
            step = _locked(approval)
            _remind(approval, step)


def _expire(approval: Approval, step: StepRun) -> None:
    error = {"class": "timeout", "message": "nobody decided in time"}
    match approval.on_timeout:
        case "approve":
            _end(approval, step, StepState.SUCCEEDED, "approved_by_timeout", approved=True)
        case "reject":
            _end(approval, step, StepState.FAILED, "rejected_by_timeout", approved=False, error=error)
        case _:
            _end(approval, step, StepState.TIMED_OUT, "awaiting_approval", approved=False, error=error)


def _remind(approval: Approval, step: StepRun | None) -> None:
    every = approval.remind_every
    if step is None or every is None:
        Approval.objects.filter(pk=approval.pk).update(remind_at=None)
        return
    due = Approval.objects.filter(pk=approval.pk, remind_at__lte=Now())
    if due.update(remind_at=Now() + timedelta(seconds=every)):
        transitions.note_of_step(step, "step.note", {"reminder": "still waits for a decision"})
        _announce(approval, reminder=True)
