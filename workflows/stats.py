"""What pages show of many runs at once: the grid of a workflow's last runs, how its steps fare, the latest of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.models import Attempt, Event, Run, StepRun
from workflows.states import StepState

GRID_RUNS = 25
GRID_STEPS = 60
BAR_HEIGHT = 32


@dataclass(frozen=True, slots=True)
class Column:
    """One run of the grid: its bar is as high as it took long."""

    run: Run
    top: int
    height: int


@dataclass(frozen=True, slots=True)
class Row:
    """One step of the grid: its state in each of the runs (None: not there), and how often it succeeded."""

    key: str
    cells: tuple[tuple[Run, str | None], ...]
    percent: int | None


@dataclass(frozen=True, slots=True)
class Grid:
    """A workflow's last runs by steps, the newest at the right."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def _columns(runs: Sequence[Run]) -> tuple[Column, ...]:
    seconds = [run.duration.total_seconds() if run.duration else 0.0 for run in runs]
    longest = max(seconds, default=0.0) or 1.0
    heights = [max(3, round(BAR_HEIGHT * value / longest)) for value in seconds]
    return tuple(Column(run, BAR_HEIGHT - high, high) for run, high in zip(runs, heights, strict=True))


def _row(key: str, runs: Sequence[Run], states: dict[tuple[int, str], tuple[str, int]]) -> Row:
    cells: list[tuple[Run, str | None]] = []
    for run in runs:
        state, attempt = states.get((run.pk, key), (None, 0))
        # A second try is worth a look even where it worked.
        cells.append((run, "retrying" if state == StepState.SUCCEEDED and attempt > 1 else state))
    ended = [state for _, state in cells if state in ("succeeded", "retrying", "failed", "crashed", "timed_out")]
    good = sum(state in ("succeeded", "retrying") for state in ended)
    return Row(key, tuple(cells), round(100 * good / len(ended)) if ended else None)


def grid_of(runs: Iterable[Run], keys: Sequence[str]) -> Grid:
    """Return the grid of `runs` (newest first, as a query gives them) and the steps `keys`. One query."""
    shown = list(runs)[:GRID_RUNS][::-1]
    steps = StepRun.objects.graph_steps().filter(run__in=[run.pk for run in shown], key__in=keys[:GRID_STEPS])
    states = {
        (run, key): (state, attempt) for run, key, state, attempt in steps.values_list("run", "key", "state", "attempt")
    }
    return Grid(_columns(shown), tuple(_row(key, shown, states) for key in keys[:GRID_STEPS]))


def latest_of(workflows: Iterable[int]) -> dict[int, Run]:
    """Return the newest run of each workflow, by its key. One query."""
    newest = Run.objects.filter(workflow__in=list(workflows)).order_by("workflow_id", "-id").distinct("workflow_id")
    return {run.workflow_id: run for run in newest.defer("graph", "pins", "inputs", "output") if run.workflow_id}


def attempts_of(run: Run) -> dict[int, list[Attempt]]:
    """Return the attempts at the steps of the graph by their position, the first one first. One query."""
    steps = StepRun.objects.graph_steps().filter(run=run).values("n")
    found: dict[int, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(run_id=run.pk, n__in=steps).order_by("n", "number").defer("error", "usage"):
        found.setdefault(attempt.n, []).append(attempt)
    return found


def progress_of(run: Run, positions: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return what each of the running steps said last of its progress, by position. One query, none for no steps."""
    if not positions:
        return {}
    said = Event.objects.filter(run_id=run.pk, kind="step.progress", n__in=positions, index__isnull=True)
    return {event.n: event.data or {} for event in said.order_by("n", "-number").distinct("n") if event.n is not None}
