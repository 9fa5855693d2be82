"""A call to a trigger's address: who signed it, is it new, and the run that it starts."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit
from mcp_site.core import clock
from mcp_site.core.documents import load_json
from mcp_site.core.errors import AppError, Conflict, NotFound, Rejected
from mcp_site.core.sealing import seal, unseal
from workflows.expressions import EvaluationFailed, Template
from workflows.models import Run, TriggerKind
from workflows.models.trigger import CallOutcome, Trigger, TriggerCall
from workflows.schedules import owners
from workflows.services.runs import start_run
from workflows.services.triggers import ROOTS, digest_of

TIMESTAMP, SIGNATURE = "x-mcp-timestamp", "x-mcp-signature"
# How far a call's time may lie from ours, either way.
WINDOW = timedelta(minutes=5)
MAX_BODY = 1024 * 1024
KEPT_FOR = timedelta(days=90)
PRUNED_AT_ONCE = 5000
_TIME = re.compile(r"[0-9]{10}(\.[0-9]{1,6})?")
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
# What expressions don't see: it says who the caller is, and would stand in the run's inputs.
_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", SIGNATURE})


class BadSignature(AppError):
    """The signature is missing, wrong, or its time is more than five minutes away."""

    code = "bad_signature"
    status = 401


class CallTooLarge(AppError):
    """The body is larger than a trigger takes: 1 MiB."""

    code = "too_large"
    status = 413


class Replayed(Conflict):
    """This call was taken before."""

    code = "replayed"


class TriggerPaused(Conflict):
    """This trigger is paused; nothing is started."""

    code = "paused"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it came in: header names in small letters, the body as bytes."""

    token: str
    headers: Mapping[str, str]
    body: bytes


@lru_cache(maxsize=1)
def _nobodys(_keys: tuple[str, ...]) -> tuple[str, str]:
    """Return a sealed secret that nobody has and its place, so that an unknown token costs what a known one does."""
    return seal(secrets.token_urlsafe(32), "trigger:nobody:secret"), "trigger:nobody:secret"


def receive(call: Call) -> Run:
    """Start the run that a call asks for, as the trigger's owner.

    1. find the trigger and check the signature, in the same time whether there is one or not;
    2. refuse what is paused, and pause what its owner may not run any more;
    3. map body and headers to inputs; 4. start the run and write the call down, once for each signature.
    Raises NotFound, BadSignature, CallTooLarge, TriggerPaused, Replayed, Rejected, and as `start_run` does.
    """
    if len(call.body) > MAX_BODY:
        raise CallTooLarge
    trigger = Trigger.objects.for_api().filter(token_digest=digest_of(call.token)).first()
    sealed, place = (
        (trigger.secret, trigger.seal_place) if trigger is not None else _nobodys(tuple(settings.MCP_SECRET_KEYS))
    )
    signature = _signature(call, unseal(sealed, place))
    if trigger is None:
        raise NotFound
    Trigger.objects.filter(pk=trigger.pk).update(last_called_at=clock.now())
    if signature is None:
        _say(trigger, "A call had no right signature, or its time was more than five minutes away.")
        raise BadSignature
    _require_going(trigger)
    try:
        return _start(trigger, call, signature)
    except Replayed:
        raise
    except AppError as exc:
        detail = f"{exc.attr}: {exc.detail}" if exc.attr else exc.detail
        TriggerCall.objects.create(trigger=trigger, outcome=CallOutcome.REFUSED, detail=detail[:500])
        _say(trigger, detail)
        raise


def _signature(call: Call, secret: str) -> str | None:
    """Return the signature if it is right and of now. Does the same work whatever is wrong."""
    stamp, given = call.headers.get(TIMESTAMP, ""), _SIGNATURE.fullmatch(call.headers.get(SIGNATURE, ""))
    signed = stamp.encode("utf-8", "replace") + b"." + call.body
    right = hmac.new(secret.encode(), signed, sha256).hexdigest()
    is_right = hmac.compare_digest(given[1] if given else "0" * 64, right)
    is_now = (
        _TIME.fullmatch(stamp) is not None and abs(clock.now().timestamp() - float(stamp)) <= WINDOW.total_seconds()
    )
    return right if is_right and is_now else None


def _say(trigger: Trigger, notice: str) -> None:
    Trigger.objects.filter(pk=trigger.pk).update(notice=notice[:500])


def _require_going(trigger: Trigger) -> None:
    if not trigger.enabled:
        raise TriggerPaused
    if (reason := owners.why_paused(trigger.owner, trigger.workflow)) is not None:
        _pause(trigger, reason)
        raise TriggerPaused


@transaction.atomic
def _pause(trigger: Trigger, notice: str) -> None:
    # Of two who see it at once, one pauses it and says so.
    if Trigger.objects.filter(pk=trigger.pk, enabled=True).update(enabled=False, notice=notice):
        audit.log(None, "trigger.pause", trigger, changes={"enabled": [True, False], "notice": [None, notice]})


def pause_orphans() -> None:
    """Pause what its owner may not run any more, before it is called. A tick."""
    owners.pause_those(Trigger.objects.filter(enabled=True), _pause)


def _start(trigger: Trigger, call: Call, signature: str) -> Run:
    """Write the call down and start its run in one transaction. Raises Replayed with the run of before."""
    assert trigger.owner is not None  # noqa: S101  asked before
    inputs = _inputs(trigger, call)
    try:
        with transaction.atomic():
            row = TriggerCall.objects.create(trigger=trigger, signature=signature, outcome=CallOutcome.STARTED)
            run = start_run(
                workflow=trigger.workflow,
                inputs=inputs,
                by=trigger.owner,
                version=trigger.version or None,
                trigger=TriggerKind.WEBHOOK,
                trigger_id=str(trigger.uid),
            )
            row.run = run
            row.save(update_fields=["run"])
            Trigger.objects.filter(pk=trigger.pk).update(last_run=run, notice="")
    except IntegrityError as exc:
        before = TriggerCall.objects.filter(trigger=trigger, signature=signature).select_related("run").first()
        if before is None:
            raise
        said = f"This call was taken before; it started run {before.run.uid}." if before.run else None
        raise Replayed(said) from exc
    return run


def _inputs(trigger: Trigger, call: Call) -> dict[str, Any]:
    headers = {name: value for name, value in call.headers.items() if name not in _HIDDEN}
    scope = {"body": _body(call), "headers": headers}
    try:
        inputs = Template(trigger.inputs, roots=ROOTS).evaluate(scope)
    except EvaluationFailed as exc:
        raise Rejected(str(exc), attr="inputs", code="expression_failed") from exc
    if not isinstance(inputs, dict):
        raise Rejected("the expression gives no object", attr="inputs", code="expression_failed")
    return inputs


def _body(call: Call) -> Any:
    """Return nothing as null, JSON as its value, a form as {name: text}, anything else as text. Raises Rejected."""
    if not call.body.strip():
        return None
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return load_json(call.body)
    try:
        text = call.body.decode()
    except UnicodeDecodeError as exc:
        raise Rejected("is no UTF-8 text", attr="body", code="not_text") from exc
    if "\x00" in text:
        raise Rejected("may not hold the NUL character", attr="body", code="null_character")
    if kind == "application/x-www-form-urlencoded":
        return _form(text)
    return text


def _form(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
    except ValueError as exc:
        raise Rejected("has more than 1000 fields", attr="body") from exc
    if any("\x00" in part for pair in pairs for part in pair):
        raise Rejected("may not hold the NUL character", attr="body", code="null_character")
    return dict(pairs)


def prune() -> None:
    """Delete calls that are older than 90 days: long after their signatures could be sent again. A tick."""
    old = TriggerCall.objects.filter(at__lt=clock.now() - KEPT_FOR).order_by("at")
    TriggerCall.objects.filter(pk__in=old.values("pk")[:PRUNED_AT_ONCE]).delete()
