"""What people do with triggers: make, change, rotate the secret, pause, remove."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.db import transaction

from accounts import access, audit
from accounts.models import User
from mcp_site.core.errors import Forbidden, Problem, Rejected, reject_if
from mcp_site.core.sealing import seal
from workflows.errors import NothingToRun
from workflows.expressions import Template
from workflows.models import Workflow
from workflows.models.trigger import Trigger
from workflows.services.graphs import get_version
from workflows.services.starters import change, may_change, may_stop, require_new, shown

# Names that the expressions of `inputs` may read.
ROOTS = ("body", "headers")
TOKEN_MARK, SECRET_MARK = "hook_", "mcps_"
Mapped = Mapping[str, Any] | str


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
    require_new(by, workflow, Trigger)
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
    before = _shown(locked)
    change(by, locked, changes)
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
    return shown(trigger, "prefix", "version", "enabled")
