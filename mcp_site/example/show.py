"""Runs the example and shows it in the terminal: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from accounts.models import User
from mcp_site.core import clock
from mcp_site.core.errors import AppError
from mcp_site.example import load
from workflows.models import Run, StepRun, TriggerKind, Workflow
from workflows.services import start_run
from workflows.states import STEP_TERMINAL, RunState, StepState

_PATIENCE = 300.0
_LOOK = 0.1
_COLOURS = {
    StepState.SUCCEEDED: "green",
    StepState.RUNNING: "cyan",
    StepState.RETRYING: "yellow",
    StepState.FAILED: "red",
    StepState.CRASHED: "red",
    StepState.TIMED_OUT: "red",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """One step, or one item of a mapped step, as it is shown."""

    name: str
    kind: str
    state: str
    seconds: float | None
    error: str

    @property
    def is_over(self) -> bool:
        """Tell whether it will not change any more."""
        return self.state in STEP_TERMINAL


def run_and_show(*, by: User, url: str) -> int:
    """Start the example, follow it to its end, print what it found and where. Returns 0 only if it succeeded."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        workflow = Workflow.objects.get(slug=load.WORKFLOW)
        run = start_run(workflow=workflow, inputs={}, by=by, trigger=TriggerKind.COMMAND)
    except (AppError, Workflow.DoesNotExist) as error:
        console.print(f"The example was not run: {error}", style="red")
        return 1
    console.print(f"running the example {load.WORKFLOW}, run {run}")
    _follow(run, console)
    run.refresh_from_db()
    _tell(run, console)
    console.print(f"{url}{run.get_absolute_url()}")
    return 0 if run.state == RunState.SUCCEEDED else 1


def _follow(run: Run, console: Console) -> None:
    """Show the run until it ends, or for as long as anybody would wait."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=10) as live:
            for lines in _looks(run):
                live.update(_table(lines))
        return
    shown: set[str] = set()
    for lines in _looks(run):
        for line in lines:
            if line.is_over and line.name not in shown:
                shown.add(line.name)
                console.print(f"  {line.name} ({line.kind}): {line.state}{_seconds(line)}")


def _looks(run: Run) -> Iterator[list[_Line]]:
    """Yield the run's steps again and again until it has ended, the last time with all of them over."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        # The run first: when it has ended, so have the steps that are read after it.
        run.refresh_from_db(fields=["state"])
        yield _lines(run)
        if run.is_terminal or time.monotonic() > deadline:
            return
        time.sleep(_LOOK)


def _lines(run: Run) -> list[_Line]:
    steps = StepRun.objects.filter(run=run).shown().order_by("n").defer("output")
    by_key: dict[str, list[StepRun]] = {}
    for step in steps:
        by_key.setdefault(step.key, []).append(step)
    # A mapped step stands for its items; they are shown under its name, in its place.
    return [_line(step) for group in by_key.values() for step in group if len(group) == 1 or step.index is not None]


def _line(step: StepRun) -> _Line:
    item = f"[{step.item}]" if step.index is not None else ""
    error = str((step.error or {}).get("message", ""))
    return _Line(f"{step.key}{item}", step.kind, step.state, _duration(step.started_at, step.finished_at), error)


def _duration(started: datetime | None, finished: datetime | None) -> float | None:
    if started is None:
        return None
    return max(0.0, ((finished or clock.now()) - started).total_seconds())


def _seconds(line: _Line) -> str:
    return "" if line.seconds is None else f", {line.seconds:.2f} s"


def _table(lines: list[_Line]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    for title in ("step", "kind", "state"):
        table.add_column(title)
    table.add_column("seconds", justify="right")
    for line in lines:
        state = Text(line.state, style=_COLOURS.get(StepState(line.state), "dim"))
        table.add_row(Text(line.name), line.kind, state, "" if line.seconds is None else f"{line.seconds:.2f}")
    return table


def _tell(run: Run, console: Console) -> None:
    """Print the result, or what went wrong."""
    if run.state == RunState.SUCCEEDED:
        seconds = f" in {run.duration.total_seconds():.1f} s" if run.duration else ""
        console.print(f"succeeded{seconds}", style="green")
        for result in _results(run.output):
            console.print(f"  {result}")
        return
    if not run.is_terminal:
        console.print(f"The example has not ended after {_PATIENCE:.0f} s; is a worker running?", style="red")
        return
    console.print(Text(f"{run.state}: {run.reason}" if run.reason else run.state, style="red"))
    for line in _lines(run):
        if line.error:
            console.print(Text(f"  {line.name}: {line.error}"))


def _results(output: Any) -> Iterator[str]:
    """Yield one line per island. The workflow is its owner's to change: what is not found is not told."""
    results = output.get("results") if isinstance(output, dict) else None
    for result in results if isinstance(results, list) else ():
        try:
            yield (
                f"{result['island']:<10} {result['accuracy']:6.1%} of {result['used']} judged right by sex "
                f"(always naming the same: {result['baseline']:.1%})"
            )
        except (KeyError, TypeError, ValueError):
            continue
