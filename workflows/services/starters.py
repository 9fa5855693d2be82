"""What schedules and triggers have in common: they start a workflow as their owner, whoever stops them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts import access
from accounts.models import User
from mcp_site.core.documents import canonical
from mcp_site.core.errors import Conflict, Forbidden
from workflows.models import Workflow
from workflows.models.schedule import Schedule
from workflows.models.trigger import Trigger

Starter = Schedule | Trigger
MAX_PER_WORKFLOW = 100
# Bytes of inputs that an audit row repeats.
_MAX_AUDITED = 4096


def _noun(starter: Starter | type[Starter]) -> str:
    return str(starter._meta.model_name)  # noqa: SLF001  public by convention


def may_change(by: User, starter: Starter) -> bool:
    """Tell whether `by` may say what it does: it acts as its owner, so only he may, and Admins."""
    own = starter.owner_id == by.pk or access.can(by, "user.manage")
    return own and access.can(by, f"{_noun(starter)}.edit")


def may_stop(by: User, starter: Starter) -> bool:
    """Tell whether `by` may pause or remove it: who may change it, and who may edit its workflow."""
    return may_change(by, starter) or access.can(by, "workflow.edit", starter.workflow)


def require_new(by: User, workflow: Workflow, model: type[Starter]) -> None:
    """Raise Forbidden or Conflict unless `by` may give `workflow` one more of these."""
    access.require(by, f"{_noun(model)}.edit")
    access.require(by, "workflow.run", workflow)
    if workflow.archived_at is not None:
        raise Conflict("This workflow is archived; nothing runs it any more.", code="archived")
    if model.objects.filter(workflow=workflow).count() >= MAX_PER_WORKFLOW:
        raise Conflict(f"A workflow has at most {MAX_PER_WORKFLOW} {_noun(model)}s.", code="too_many")


def change(by: User, starter: Starter, changes: Mapping[str, Any]) -> None:
    """Set `changes` on a locked row and forget its notice; pausing alone may also whoever edits the workflow.

    Raises Forbidden, and Conflict where it would go on for an owner who may not run the workflow any more.
    """
    noun = _noun(starter)
    if not may_change(by, starter) and not (changes == {"enabled": False} and may_stop(by, starter)):
        raise Forbidden(f"A {noun} acts as its owner: only its owner and Admins may say what it does.")
    for field, value in changes.items():
        setattr(starter, field, value)
    starter.version = starter.version or ""
    starter.notice = ""
    if starter.enabled and not access.can(starter.owner, "workflow.run", starter.workflow):
        raise Conflict(
            f"Its owner may not run this workflow any more; make a {noun} of your own.", code="owner_lost_run"
        )


def shown(starter: Starter, *fields: str) -> dict[str, Any]:
    """Return what an audit row says of it; of long inputs only how long they are."""
    size = len(canonical(starter.inputs))
    inputs = starter.inputs if size <= _MAX_AUDITED else f"{size} bytes"
    return {
        "workflow": starter.workflow.slug,
        **{field: getattr(starter, field) for field in fields},
        "inputs": inputs,
    }
