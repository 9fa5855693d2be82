"""Limits on runs at once: a run asks for its slot when it starts, and its end frees it in the same statement.

Lock order as everywhere: runs first, the limit last. A slot is a row that lives no longer than its run goes on, and
what is used is counted, so a lost worker can leak nothing: its run ends by the sweeper, and with it the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db.models.functions import Now

from mcp_site.core.errors import Rejected
from workflows.engine import transitions
from workflows.errors import LimitReached
from workflows.expressions import EvaluationFailed
from workflows.graph import PlannedLimit
from workflows.models import Run, RunLimit, RunSlot, SlotPolicy, Workflow

MAX_KEY = 200
AWAITING = "awaiting_slot"


def limit_for(planned: PlannedLimit, workflow: Workflow, inputs: Mapping[str, Any]) -> RunLimit:
    """Return the limit that a run with these inputs counts for. Raises Rejected where its key has no value."""
    try:
        value = planned.key.evaluate({"inputs": inputs})
    except EvaluationFailed as exc:
        raise Rejected(f"the key of the workflow's concurrency has no value: {exc}", attr="inputs") from exc
    key = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(key) > MAX_KEY or "\x00" in key:
        detail = f"the key of the workflow's concurrency is a text of at most {MAX_KEY} characters"
        raise Rejected(detail, attr="inputs")
    limit, _ = RunLimit.objects.get_or_create(workflow=workflow, key=key, defaults={"size": planned.size})
    return limit


def take(run: Run, planned: PlannedLimit, limit: RunLimit) -> bool:
    """Take a slot for a run whose row was just made, or a place in the line; call inside its transaction.

    Returns whether it has its slot. Raises LimitReached where it is refused.
    """
    locked = RunLimit.objects.select_for_update(no_key=True).get(pk=limit.pk)
    if locked.size != planned.size:
        locked.size = planned.size
        locked.save(update_fields=["size"])
    slots = RunSlot.objects.filter(limit=limit)
    used, waiting = slots.filter(taken_at__isnull=False).count(), slots.filter(taken_at=None).exists()
    has_slot = used < locked.size and not waiting
    if not has_slot and planned.policy == SlotPolicy.REJECT:
        raise LimitReached(f"{used} of at most {locked.size} runs go on already{_of(limit)}.")
    RunSlot.objects.create(run=run, limit=limit, policy=planned.policy, taken_at=Now() if has_slot else None)
    if not has_slot:
        transitions.afterwards(partial(make_way, limit.pk))
    return has_slot


def _of(limit: RunLimit) -> str:
    return f" for `{limit.key}`" if limit.key else ""


def make_way(limit: int) -> None:
    """Cancel those runs under a limit that must go for the newest one that wants it so, and give out free slots."""
    newest = RunSlot.objects.filter(limit=limit, taken_at=None, policy=SlotPolicy.CANCEL_RUNNING).order_by("-run_id")
    chosen = newest.select_related("limit").first()
    if chosen is not None:
        before = list(
            RunSlot.objects.filter(limit=limit, run_id__lt=chosen.run_id)
            .order_by("run_id")
            .values_list("run", flat=True)
        )
        surplus = len(before) - (chosen.limit.size - 1)
        for run in before[: max(0, surplus)]:
            transitions.cancel(run)
    transitions.admit(limit)


def sweep() -> None:
    """Look after the limits under which somebody waits: the net under an end whose process died before it did."""
    for limit in RunSlot.objects.filter(taken_at=None).order_by("limit").values_list("limit", flat=True).distinct():
        make_way(limit)
