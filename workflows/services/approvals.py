"""What people decide: who may, what they fill in, and that it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import Role, User
from mcp_site.core.errors import Forbidden, Rejected, reject_if
from mcp_site.core.schemas import problems_of_value
from workflows.engine import approvals
from workflows.errors import SelfApproval
from workflows.models import Approval, Verdict


def is_own(approval: Approval, by: User) -> bool:
    """Tell whether `by` started the run, and so may not decide."""
    return not approval.allow_self and approval.run.started_by_id == by.pk


def may_decide(approval: Approval, by: User) -> bool:
    """Tell whether `by` may decide: named in person, by role on a run that he sees, or, with nobody named, to run it.

    Needs `run` with its subject, and `users`, loaded.
    """
    if is_own(approval, by) or not by.is_active:
        return False
    if any(user.pk == by.pk for user in approval.users.all()):
        return True
    area = "workflow" if approval.run.workflow_id else "definition"
    if approval.roles:
        fits = by.role == Role.ADMIN or by.role in approval.roles
        return fits and access.can(by, f"{area}.view", approval.run.subject)
    return not approval.users.all() and access.can(by, f"{area}.run", approval.run.subject)


@transaction.atomic
def decide(
    *, approval: Approval, by: User, verdict: Verdict, comment: str = "", form: Mapping[str, Any] | None = None
) -> Approval:
    """Approve or reject; who approves fills in the form where there is one.

    Raises Forbidden, SelfApproval, ApprovalClosed, Conflict (decided already), Rejected (paths under `form`).
    """
    if is_own(approval, by):
        raise SelfApproval
    if not may_decide(approval, by):
        raise Forbidden("You are not among those who may decide this.")
    if form is not None and approval.form is None:
        raise Rejected("this approval asks for no form", attr="form", code="unknown_field")
    if approval.form is not None and (verdict == Verdict.APPROVE or form is not None):
        reject_if(problem.under("form") for problem in problems_of_value(approval.form, dict(form or {})))
    given = dict(form or {}) if approval.form is not None and verdict == Verdict.APPROVE else form
    approvals.decide(approval, by, verdict, comment, given)
    step = approval.step
    changes = {"step": [None, str(step)], "comment": [None, comment], "form": [None, given]}
    audit.log(by, f"approval.{verdict}", approval.run, name=f"#{approval.run_id}", changes=changes)
    return Approval.objects.for_api().get(pk=approval.pk)
