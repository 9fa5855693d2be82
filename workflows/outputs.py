"""Outputs of runs and steps wherever they are stored: in the row, in another run's, in the items', in the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workflows import artifacts
from workflows.models import Attempt, Run, StepRun

MAX_INLINE_ANSWER = 1024 * 1024
Output = tuple[Any, dict[str, Any] | None]


def _sized(value: Any) -> Output:
    raw = json.dumps(value, ensure_ascii=False).encode()
    if len(raw) <= MAX_INLINE_ANSWER:
        return value, None
    return None, {"size": len(raw), "sha256": artifacts.store_bytes(raw)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output is: in a row (`ref` None), with the items of a step, or in the artifact store."""

    value: Any
    ref: str | None
    run: int
    n: int


def place_of(value: Any, ref: str | None, *, run: int, n: int) -> Place:
    """Follow an output that is another step's (`step:<id>`, a result taken over) or a child run's (`run:<number>`).

    It is null where that run has been deleted since.
    """
    while ref is not None and ":" in ref:
        what, _, key = ref.partition(":")
        if what == "step":
            row = StepRun.objects.only("run_id", "n", "output", "output_ref").filter(pk=int(key)).first()
            if row is None:
                return Place(None, None, run, n)
            value, ref, run, n = row.output, row.output_ref, row.run_id, row.n
        else:
            child = Run.objects.only("output", "output_ref", "output_n").filter(pk=int(key)).first()
            if child is None:
                return Place(None, None, run, n)
            value, ref, run, n = child.output, child.output_ref, child.pk, _n_of(child)
    return Place(value, ref, run, n)


def _n_of(run: Run) -> int:
    return run.output_n if run.output_n is not None else -1


def _output(value: Any, ref: str | None, *, run: int, n: int) -> Output:
    if ref is not None and ":" in ref:
        place = place_of(value, ref, run=run, n=n)
        value, ref, run, n = place.value, place.ref, place.run, place.n
    if ref is None:
        return value, None
    if ref == "items":
        return _sized(items_output(run, n))
    raw = artifacts.load_bytes(ref)
    if len(raw) <= MAX_INLINE_ANSWER:
        return json.loads(raw), None
    return None, {"size": len(raw), "sha256": ref}


def items_output(run: int, n: int) -> list[Any]:
    """Return the outputs of a mapped step's items in order, null for those that did not succeed."""
    rows = StepRun.objects.filter(run_id=run, succ=[n], index__isnull=False).order_by("index")
    return [
        _output(row.output, row.output_ref, run=run, n=row.n)[0] if row.state == "succeeded" else None
        for row in rows.only("n", "state", "output", "output_ref")
    ]


def output_of_run(run: Run) -> Output:
    """Return a run's output inline up to 1 MiB, else null and {size, sha256} of where it lies."""
    return _output(run.output, run.output_ref, run=run.pk, n=_n_of(run))


def output_of_step(step: StepRun) -> Output:
    """Return a step's output likewise."""
    return _output(step.output, step.output_ref, run=step.run_id, n=step.n)


def tries_of_step(step: StepRun) -> list[dict[str, Any]]:
    """Return the attempts at a step, the first one first."""
    rows = Attempt.objects.filter(run_id=step.run_id, n=step.n).order_by("number")
    names = ("number", "worker", "started_at", "ended_at", "outcome", "reason", "error", "usage")
    return list(rows.values(*names))
