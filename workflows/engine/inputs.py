"""From the rows that a step reads to the values it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from workflows import artifacts, outputs
from workflows.engine.plans import RunInfo
from workflows.engine.transitions import Taken
from workflows.expressions import ROOTS, EvaluationFailed, Template
from workflows.models import StepRun

# Values over 64 KiB live in the artifact store; expressions see them up to this size.
MAX_INLINE = 64 * 1024
MAX_FAILURES = 100
MAX_IN_EXPRESSIONS = 16 * 1024 * 1024
# The NUL character as json.dumps writes it, not a backslash that happens to be followed by u0000.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class UncleanValue(ValueError):
    """A value that is not JSON, or not storable; the message says why."""


def encode(value: Any) -> tuple[str | None, str | None]:
    """Return a value as JSON text for its row, or, over 64 KiB, the SHA-256 under which it was stored.

    Raises UncleanValue.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        raw = text.encode()
    except UnicodeEncodeError as exc:
        raise UncleanValue("it holds half of a surrogate pair, which is not text") from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise UncleanValue(f"it is not JSON ({exc})"[:200]) from exc
    if _NUL.search(text):
        raise UncleanValue("it holds the NUL character")
    if len(raw) <= MAX_INLINE:
        return text, None
    return None, artifacts.store_bytes(raw)


def load(output: Any, ref: str | None, *, run: int, n: int) -> Any:
    """Return an output wherever it is stored. Raises EvaluationFailed where it is too large for expressions."""
    if ref is not None and ":" in ref:
        place = outputs.place_of(output, ref, run=run, n=n)
        output, ref, run, n = place.value, place.ref, place.run, place.n
    if ref is None:
        return output
    if ref == "items":
        return outputs.items_output(run, n)
    raw = artifacts.load_bytes(ref)
    if len(raw) > MAX_IN_EXPRESSIONS:
        raise EvaluationFailed(f"an output of {len(raw)} bytes is too large for an expression")
    return json.loads(raw)


def _items(run: int, n: int) -> list[dict[str, Any]]:
    rows = StepRun.objects.filter(run_id=run, succ=[n], index__isnull=False).order_by("index")
    return [
        {"state": row.state, "output": load(row.output, row.output_ref, run=run, n=row.n), "error": row.error}
        for row in rows.only("n", "state", "output", "output_ref", "error")
    ]


def failures_of(run: int) -> list[dict[str, Any]]:
    """Return the steps and items that ended badly by themselves: {step, index, state, reason, error}."""
    rows = StepRun.objects.filter(run_id=run, state__in=("failed", "crashed", "timed_out")).order_by("n")
    return [
        {"step": row.key, "index": row.index, "state": row.state, "reason": row.reason, "error": row.error}
        for row in rows.only("n", "key", "index", "state", "reason", "error")[:MAX_FAILURES]
    ]


class Scope(Mapping[str, Any]):
    """The names that expressions of one attempt may read, each made when it is first asked for."""

    def __init__(self, info: RunInfo, taken: Taken, items_of: frozenset[str] = frozenset()) -> None:
        self._info = info
        self._taken = taken
        self._items_of = items_of
        self._made: dict[str, Any] = {"inputs": info.inputs}
        if taken.index is not None:
            self._made |= {"item": taken.item, "index": taken.index}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name == "steps":
                self._made[name] = self._steps()
            elif name == "run":
                info = self._info
                self._made[name] = {
                    "id": info.uid,
                    "created_at": info.created_at,
                    "labels": dict(info.labels),
                    "trigger": info.trigger,
                }
            elif name == "failures":
                self._made[name] = failures_of(self._taken.run)
            else:
                raise KeyError(name)
        return self._made[name]

    def __iter__(self) -> Any:
        return iter(ROOTS)

    def __len__(self) -> int:
        return len(ROOTS)

    def _steps(self) -> dict[str, Any]:
        found = {}
        for position, row in self._taken.inputs.items():
            n = int(position)
            step = self._info.plan.steps[n]
            found[step.key] = {
                "state": row["state"],
                "output": load(row["output"], row["ref"], run=self._taken.run, n=n),
            }
            if step.key in self._items_of:
                place = outputs.place_of(row["output"], row["ref"], run=self._taken.run, n=n)
                found[step.key]["items"] = _items(place.run, place.n)
        return found


def scope_for(info: RunInfo, taken: Taken, *templates: Template | None) -> Scope:
    """Return the scope for these templates of one step."""
    wanted = frozenset(key for template in templates if template is not None for key in template.items_of)
    return Scope(info, taken, wanted)
