"""What a rerun takes over from the run before, and what it does again: pure, and shown before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.graph.joins import verdict
from workflows.graph.plan import Plan, PlannedStep
from workflows.states import HANDLER_KEY

START, FAILED = "start", "failed"
# Steps that were skipped for a reason that holds as long as what is before them does.
_HARMLESS = frozenset({"condition_false", "not_needed"})

_BADLY = {
    "failed": "it failed",
    "crashed": "it crashed",
    "timed_out": "it took too long",
    "skipped": "what it needs did not succeed",
}


@dataclass(frozen=True, slots=True)
class Past:
    """A step of the run before: how it ended, what it was written as, which version it was pinned to, its row."""

    state: str
    reason: str | None
    written: Any
    pinned: Any
    row: int

    @property
    def is_good(self) -> bool:
        """Tell whether its end may be taken over."""
        return self.state == "succeeded" or (self.state == "skipped" and self.reason in _HARMLESS)


@dataclass(frozen=True, slots=True)
class Carried:
    """An end that a step has from the beginning. `row`: the step run whose result it is, None for one without."""

    state: str
    reason: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of one step: taken over, or run again, and why."""

    step: PlannedStep
    because: str
    carried: Carried | None = None


def in_order(plan: Plan) -> Iterable[PlannedStep]:
    """Yield the steps so that each comes after those it depends on."""
    seen: set[int] = set()
    for first in plan.steps:
        stack = [first]
        while stack:
            step = stack[-1]
            missing = [n for n in step.deps if n not in seen]
            if missing:
                stack += [plan.steps[n] for n in missing]
                continue
            stack.pop()
            if step.n not in seen:
                seen.add(step.n)
                yield step


def choose(
    plan: Plan,
    past: Mapping[str, Past],
    *,
    start: str,
    written: Mapping[str, Any],
    pinned: Mapping[str, Any],
    changed: frozenset[str],
) -> list[Choice]:
    """Decide for each step of `plan`, in its order.

    `start`: `start` (all of it), `failed` (what did not succeed and what follows), or a step's key (that one too).
    `written` and `pinned` are as of the new run; `changed` names the inputs that are others than before.
    """
    made: dict[int, Choice] = {}
    for step in in_order(plan):
        because = _why_again(step, plan, past, made, start, written, pinned, changed)
        if because is None:
            before = past[step.key]
            is_result = before.state == "succeeded"
            carried = Carried(
                before.state, "reused" if is_result else str(before.reason), before.row if is_result else None
            )
            made[step.n] = Choice(step, "it succeeded" if is_result else "it was skipped", carried)
            continue
        ok, skip = counts(step, {n: choice.carried for n, choice in made.items()})
        if step.deps and verdict(step.join_rule, len(step.deps), ok, 0, skip) == "not_needed":
            made[step.n] = Choice(step, "nothing before it calls for it", Carried("skipped", "not_needed"))
        else:
            made[step.n] = Choice(step, because)
    return [made[step.n] for step in plan.steps]


def counts(step: PlannedStep, carried: Mapping[int, Carried | None]) -> tuple[int, int]:
    """Return how many of a step's parents have succeeded, and how many were skipped, before the run begins."""
    ends = [one.state for n in step.deps if (one := carried.get(n)) is not None]
    return ends.count("succeeded"), ends.count("skipped")


def _why_again(
    step: PlannedStep,
    plan: Plan,
    past: Mapping[str, Past],
    made: Mapping[int, Choice],
    start: str,
    written: Mapping[str, Any],
    pinned: Mapping[str, Any],
    changed: frozenset[str],
) -> str | None:
    if start == START:
        return "all steps run again"
    if step.key == HANDLER_KEY:
        return "it depends on all others"
    before = past.get(step.key)
    if before is None:
        return "it is new in this version"
    if not before.is_good:
        return _BADLY.get(before.state, f"it was {before.state}")
    if step.key == start:
        return "it was asked for"
    if written.get(step.key) != before.written:
        return "it is written otherwise in this version"
    if pinned.get(step.key) != before.pinned:
        return "its definition has another version"
    if touched := _reads_of(step, changed):
        return f"it reads `{touched}`, which is another now"
    again = [plan.steps[n].key for n in step.deps if made[n].carried is None]
    return f"it needs `{again[0]}`, which runs again" if again else None


def _reads_of(step: PlannedStep, changed: frozenset[str]) -> str | None:
    """Return an input that is read and changed; whoever reads all of them reads each."""
    for template in (step.inputs, step.when, step.for_each, step.message):
        if template is None or not changed or "inputs" not in template.roots:
            continue
        named = template.inputs & changed
        if named or any(
            expression.path == ("inputs",) or not expression.inputs
            for expression in template.expressions
            if "inputs" in expression.roots
        ):
            return f"inputs.{min(named)}" if named else "inputs"
    return None
