"""What people do with triggers: make, change, rotate the secret, pause, remove."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core.documents import canonical
from mcp_site.core.errors import Conflict, Forbidden, Problem, Rejected, reject_if
from mcp_site.core.sealing import seal
from workflows.errors import NothingToRun
from workflows.expressions import Template
from workflows.models import Workflow
from workflows.models.trigger import Trigger
from workflows.services.graphs import get_version

MAX_PER_WORKFLOW = 100
# Names that the expressions of `inputs` may read.
ROOTS = ("body", "headers")
TOKEN_MARK, SECRET_MARK = "hook_", "mcps_"
# Bytes of inputs that an audit row repeats.
MAX_AUDITED = 4096
Mapped = Mapping[str, Any] | str


def may_change(by: User, trigger: Trigger) -> bool:
    """Tell whether `by` may say what it does: it acts as its owner, so only he may, and Admins."""
    own = trigger.owner_id == by.pk or access.can(by, "user.manage")
    return own and access.can(by, "trigger.edit")


def may_stop(by: User, trigger: Trigger) -> bool:
    """Tell whether `by` may pause or remove it: who may change it, and who may edit its workflow."""
    return may_change(by, trigger) or access.can(by, "workflow.edit", trigger.workflow)


def digest_of(token: str) -> str:
    """Return by what a token is looked up."""
    return sha256(token.encode()).hexdigest()


@transaction.atomic
def create_trigger(
    *, by: User, workflow: Workflow, inputs: Mapped | None = None, version: str | None = None, enabled: bool = True
) -> tuple[Trigger, str, str]:
    """Give `workflow` an address that starts it, as `by`. Returns it with its token and its secret, shown this once.

    Raises Forbidden, Conflict, NothingToRun, Rejected (paths as in the API).
    """
    access.require(by, "trigger.edit")
    access.require(by, "workflow.run", workflow)
    if workflow.archived_at is not None:
        raise Conflict("This workflow is archived; nothing runs it any more.", code="archived")
    if Trigger.objects.filter(workflow=workflow).count() >= MAX_PER_WORKFLOW:
        raise Conflict(f"A workflow has at most {MAX_PER_WORKFLOW} triggers.", code="too_many")
    token = f"{TOKEN_MARK}{secrets.token_urlsafe(32)}"
    trigger = Trigger(
        workflow=workflow,
        owner=by,
        token_digest=digest_of(token),
        prefix=token[:12],
        inputs=inputs if inputs is not None else {},
        version=version or "",
        enabled=enabled,
    )
    _check(trigger)
    secret = _new_secret(trigger)
    trigger.save(force_insert=True)
    audit.log(by, "trigger.create", trigger, changes=audit.diff({}, _shown(trigger)))
    return trigger, token, secret


@transaction.atomic
def update_trigger(*, by: User, trigger: Trigger, **changes: Any) -> Trigger:
    """Change a trigger; pausing alone may also whoever edits the workflow. Raises Forbidden, Conflict, Rejected."""
    access.require(by, "trigger.edit")
    locked = _locked(trigger)
    if not may_change(by, locked) and not (changes == {"enabled": False} and may_stop(by, locked)):
        raise Forbidden("A trigger acts as its owner: only its owner and Admins may say what it does.")
    before = _shown(locked)
    for field, value in changes.items():
        setattr(locked, field, value)
    locked.version = locked.version or ""
    locked.notice = ""
    if locked.enabled and not access.can(locked.owner, "workflow.run", locked.workflow):
        raise Conflict(
            "Its owner may not run this workflow any more; make a trigger of your own.", code="owner_lost_run"
        )
    _check(locked)
    locked.save()
    audit.log(by, "trigger.update", locked, changes=audit.diff(before, _shown(locked)))
    return locked


@transaction.atomic
def rotate_secret(*, by: User, trigger: Trigger) -> tuple[Trigger, str]:
    """Give a trigger another secret; the old one is dead at once, the address stays. Raises Forbidden."""
    access.require(by, "trigger.edit")
    locked = _locked(trigger)
    if not may_change(by, locked):
        raise Forbidden
    secret = _new_secret(locked)
    locked.save(update_fields=["secret", "updated_at"])
    audit.log(by, "trigger.rotate", locked)
    return locked, secret


@transaction.atomic
def delete_trigger(*, by: User, trigger: Trigger) -> None:
    """Remove a trigger and the list of its calls; its address is dead, its runs stay. Raises Forbidden."""
    access.require(by, "trigger.edit")
    if not may_stop(by, trigger):
        raise Forbidden
    audit.log(by, "trigger.delete", trigger, changes=audit.diff(_shown(trigger), {}))
    trigger.delete()


def _locked(trigger: Trigger) -> Trigger:
    rows = Trigger.objects.select_for_update(of=("self",)).select_related("workflow", "owner")
    return rows.get(pk=trigger.pk)


def _new_secret(trigger: Trigger) -> str:
    secret = f"{SECRET_MARK}{secrets.token_urlsafe(32)}"
    trigger.secret = seal(secret, trigger.seal_place)
    return secret


def _check(trigger: Trigger) -> None:
    """See that its expressions compile, and that there is a version to run. Raises Rejected, NothingToRun."""
    template = Template(trigger.inputs, roots=ROOTS)
    reject_if(Problem(path, "invalid_expression", detail).under("inputs") for path, detail in template.problems)
    if isinstance(trigger.inputs, str) and not template.is_whole:
        raise Rejected("an object, or one expression such as ${{ body }}", attr="inputs")
    if trigger.version:
        get_version(trigger.workflow, trigger.version, attr="version")
    elif trigger.enabled and not trigger.workflow.latest_number:
        raise NothingToRun


def _shown(trigger: Trigger) -> dict[str, Any]:
    """Return what an audit row says of it; of long inputs only how long they are."""
    size = len(canonical(trigger.inputs))
    inputs = trigger.inputs if size <= MAX_AUDITED else f"{size} bytes"
    shown = {field: getattr(trigger, field) for field in ("prefix", "version", "enabled")}
    return {"workflow": trigger.workflow.slug, **shown, "inputs": inputs}
