"""Two runs side by side: what went in, which versions, how each step fared, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows import outputs
from workflows.diff import Change, changes
from workflows.models import Run, StepRun


@dataclass(frozen=True, slots=True)
class Side:
    """One step as it was in one of the runs."""

    state: str
    version: str
    attempts: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class StepPair:
    """A step in both runs; None where it is not there. `same_output` is None unless it succeeded in both."""

    key: str
    sides: tuple[Side | None, Side | None]
    same_output: bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs from the first run to the second. `output` is None where one is too large to be compared here."""

    runs: tuple[Run, Run]
    inputs: list[Change]
    output: list[Change] | None
    steps: list[StepPair]


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare two runs that the caller may see."""
    rows = [_rows(run) for run in (first, second)]
    keys = list(dict.fromkeys([*rows[0], *rows[1]]))
    pairs = [_pair(key, (first, second), rows[0].get(key), rows[1].get(key)) for key in keys]
    results = [outputs.output_of_run(run) for run in (first, second)]
    too_large = any(elsewhere is not None for _, elsewhere in results)
    output = None if too_large else changes(results[0][0], results[1][0])
    return Comparison((first, second), changes(first.inputs, second.inputs), output, pairs)


def _rows(run: Run) -> dict[str, StepRun]:
    return {row.key: row for row in StepRun.objects.graph_steps().filter(run=run).defer("item").order_by("n")}


def _pair(key: str, runs: tuple[Run, Run], before: StepRun | None, after: StepRun | None) -> StepPair:
    sides = (_side(runs[0].pins, before), _side(runs[1].pins, after))
    both = before is not None and after is not None and before.state == after.state == "succeeded"
    equal = _same_output(before, after) if both and before is not None and after is not None else None
    return StepPair(key, sides, equal)


def _side(pins: Mapping[str, Any], row: StepRun | None) -> Side | None:
    if row is None:
        return None
    took = row.finished_at - row.started_at if row.finished_at is not None and row.started_at is not None else None
    number = pins.get(row.key, {}).get("number")
    version = f"v{number}" if number else row.kind
    return Side(row.state, version, row.attempt, round(took.total_seconds(), 3) if took is not None else None)


def _same_output(before: StepRun, after: StepRun) -> bool:
    """Compare where they lie first: a result that was taken over, or has the same hash, need not be read."""
    places = [outputs.place_of(row.output, row.output_ref, run=row.run_id, n=row.n) for row in (before, after)]
    if (places[0].run, places[0].n) == (places[1].run, places[1].n):
        return True
    if places[0].ref == "items" or places[1].ref == "items":
        return outputs.output_of_step(before) == outputs.output_of_step(after)
    return (places[0].ref, places[0].value) == (places[1].ref, places[1].value)
