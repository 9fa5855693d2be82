"""What the graph, the strip and the timeline of a page are drawn from: places, words and states, no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from accounts.templatetags.panel import spell, word
from mcp_site.core import clock
from workflows.graph import Graph, compile_plan
from workflows.graph.layout import BOX_HEIGHT, BOX_WIDTH, Drawing, Node, layout
from workflows.models import Attempt, Run, StepRun
from workflows.states import APPROVAL_KIND, CHILD_KIND, CONTROL_KEY, HANDLER_KEY

# What fits into a box at its two type sizes.
LABEL_LENGTH, SUB_LENGTH = 13, 18
# Wider drawings scroll; narrower ones shrink to the page.
WIDE = 1240
BAR = BOX_WIDTH - 24


@dataclass(frozen=True, slots=True)
class Box:
    """A step in the drawing. `state` is empty where no run is shown."""

    key: str
    x: int
    y: int
    kind: str
    label: str
    sub: str
    title: str
    state: str = ""
    filled: int | None = None
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line in the drawing, in the state of the step it leads to."""

    source: str
    target: str
    path: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph ready for its template."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]

    @property
    def is_wide(self) -> bool:
        """Tell whether it scrolls instead of shrinking."""
        return self.width > WIDE


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a step's time: where it lies on the axis in per cent, and what it was."""

    look: str
    state: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A step in the table of a run."""

    step: StepRun
    definition: str
    note: str
    duration: str
    segments: tuple[Segment, ...]
    text_x: float
    says: str


@lru_cache(maxsize=128)
def _placed(nodes: tuple[Node, ...]) -> Drawing:
    return layout(nodes)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _picture(nodes: Sequence[Node], boxes: Mapping[str, dict[str, Any]], states: Mapping[str, str]) -> Picture:
    drawing = _placed(tuple(nodes))
    made = []
    for placed in drawing.nodes:
        box = boxes[placed.key]
        texts = {
            "label": _cut(box["label"], LABEL_LENGTH),
            "sub": _cut(box["sub"], SUB_LENGTH),
            "title": ", ".join(filter(None, [box["label"], box["sub"], word(states.get(placed.key, "")).lower()])),
        }
        made.append(Box(key=placed.key, x=placed.x, y=placed.y, **{**box, **texts}))
    lines = tuple(Line(e.source, e.target, e.path, _line_state(states, e.source, e.target)) for e in drawing.edges)
    return Picture(drawing.width, drawing.height, tuple(made), lines)


def _line_state(states: Mapping[str, str], source: str, target: str) -> str:
    """Return how a line looks: done where both ends are, moving where it feeds a running step."""
    if not states:
        return ""
    before, after = states.get(source, ""), states.get(target, "")
    if after in ("running", "retrying", "skipped"):
        return after
    return "succeeded" if before == after == "succeeded" else "pending"


def picture_of_graph(document: Mapping[str, Any], kinds: Mapping[str, str]) -> Picture:
    """Draw a saved graph document; `kinds` says of which kind each reference is."""
    graph = Graph.model_validate(document)
    shown = {step.n: step for step in compile_plan(graph).steps if step.key != CONTROL_KEY}
    nodes = [Node(step.key, tuple(shown[n].key for n in step.deps if n in shown)) for step in shown.values()]
    own = {step.key: step.own_kind for step in shown.values()}
    boxes: dict[str, dict[str, Any]] = {}
    for step in graph.steps:
        extras = ["each item"] if step.for_each is not None else []
        extras += ["conditional"] if step.when is not None else []
        boxes[step.key] = {
            "label": step.name or step.key,
            "sub": ", ".join([step.reference, *extras]),
            "kind": kinds.get(step.definition, "") if step.definition else own[step.key],
        }
    if graph.on_failure is not None:
        reference = graph.on_failure.definition
        boxes[HANDLER_KEY] = {"label": "on failure", "sub": reference, "kind": kinds.get(reference, "")}
    return _picture(nodes, boxes, {})


def done_of(step: StepRun) -> int:
    """Return how many items of a mapped step have ended."""
    return step.ok + step.bad + step.skip


def note_of(step: StepRun, progress: Mapping[str, Any] | None, now: datetime) -> str:
    """Return in a few words how a step stands."""
    if step.first_item is not None and step.state in ("waiting", "running"):
        return f"{done_of(step)} of {step.need} done"
    match step.state:
        case "running":
            text = str((progress or {}).get("text") or "")
            fraction = (progress or {}).get("fraction")
            return text or (f"{round(100 * fraction)} % done" if fraction is not None else "running")
        case "retrying":
            left = max(0, round((step.wake_at - now).total_seconds())) if step.wake_at else 0
            return f"try {step.attempt + 1} in {left} s"
        case "ready":
            return "waits for a slot" if step.reason == "awaiting_slot" else "waits for a worker"
        case "waiting":
            return {APPROVAL_KIND: "waits for a decision", CHILD_KIND: "its run goes on"}.get(step.kind, "waits")
        case "failed" | "crashed" | "timed_out":
            error = step.error if isinstance(step.error, dict) else {}
            return str(error.get("message") or word(step.reason or step.state).lower())
        case "skipped" | "cancelled":
            return (step.reason or step.state).replace("_", " ")
        case _:
            return "taken over" if step.reason == "reused" else ""


def _filled(step: StepRun, progress: Mapping[str, Any] | None) -> int | None:
    """Return how many pixels of the box's bar are filled; None without a bar."""
    if step.first_item is not None and step.need and step.state in ("waiting", "running"):
        return round(BAR * done_of(step) / step.need)
    fraction = (progress or {}).get("fraction")
    return round(BAR * fraction) if step.state == "running" and isinstance(fraction, int | float) else None


def _seconds(step: StepRun, now: datetime) -> float | None:
    if step.started_at is None or step.state in ("pending", "skipped"):
        return None
    return ((step.finished_at or now) - step.started_at).total_seconds()


def picture_of_run(steps: Sequence[StepRun], progress: Mapping[int, Mapping[str, Any]], chosen: str = "") -> Picture:
    """Draw a run's steps as they stand."""
    now = clock.now()
    by_position = {step.n: step for step in steps}
    nodes = [Node(step.key, tuple(by_position[n].key for n in step.deps if n in by_position)) for step in steps]
    boxes: dict[str, dict[str, Any]] = {}
    for step in steps:
        said = progress.get(step.n)
        took = _seconds(step, now)
        done = f"{step.kind} · {spell(took)}" if step.state == "succeeded" and took is not None else ""
        boxes[step.key] = {
            "label": step.key,
            "sub": note_of(step, said, now) or done or step.kind,
            "kind": step.kind,
            "state": step.state,
            "filled": _filled(step, said),
            "selected": step.key == chosen,
        }
    return _picture(nodes, boxes, {step.key: step.state for step in steps})


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis of a run's table: its beginning, its length, and its ticks in per cent with their words."""

    start: datetime
    seconds: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, moment: datetime) -> float:
        """Return where a moment lies, in per cent."""
        return round(min(100.0, max(0.0, (moment - self.start).total_seconds() / self.seconds * 100)), 2)


_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)


def axis_of(run: Run, now: datetime) -> Axis:
    """Return the axis from the run's creation to its end, or to now, with some room at the right."""
    seconds = max(0.05, ((run.finished_at or now) - run.created_at).total_seconds()) * 1.12
    size = next((step for step in _STEPS if seconds / step <= 5.5), _STEPS[-1])
    count = min(12, int(seconds / size * 0.93))
    ticks = tuple((round(number * size / seconds * 100, 2), _tick(number * size)) for number in range(count + 1))
    return Axis(run.created_at, seconds, ticks)


def _tick(seconds: float) -> str:
    if seconds == 0:
        return "0"
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:g} m" if minutes < 60 else f"{hours:g} h"


def _segments(step: StepRun, tries: Sequence[Attempt], axis: Axis, now: datetime) -> tuple[Segment, ...]:
    found: list[Segment] = []
    end_of_last: datetime | None = step.ready_at if len(tries) <= 1 else None
    look = "queue"
    for attempt in tries:
        if end_of_last is not None and attempt.started_at > end_of_last:
            found.append(_segment(look, "", end_of_last, attempt.started_at, axis))
        ended = attempt.ended_at or now
        state = attempt.outcome or "running"
        # The try of a map ends when its items are made, that of an approval when it has asked; the bar goes on.
        if attempt.outcome == "waiting" and attempt is tries[-1]:
            ended, state = step.finished_at or now, step.state
        found.append(_segment("att", _tried(state), attempt.started_at, ended, axis))
        end_of_last, look = ended, "wait"
    return tuple(found)


def _tried(outcome: str) -> str:
    """Return the state in which a try's bar is drawn: one that led to another try failed."""
    return {"retrying": "failed", "ready": "crashed", "waiting": "running"}.get(outcome, outcome)


def _segment(look: str, state: str, start: datetime, end: datetime, axis: Axis) -> Segment:
    x = axis.at(start)
    return Segment(look, state, x, max(0.35, round(axis.at(end) - x, 2)))


def timeline(
    run: Run,
    steps: Sequence[StepRun],
    tries: Mapping[int, Sequence[Attempt]],
    progress: Mapping[int, Mapping[str, Any]],
    definitions: Mapping[str, str],
) -> tuple[Axis, list[TimelineRow]]:
    """Return the axis, and a row for each step of the graph."""
    now = clock.now()
    axis = axis_of(run, now)
    rows = []
    for step in steps:
        took = _seconds(step, now)
        segments = _segments(step, tries.get(step.n, ()), axis, now)
        duration = spell(took) if took is not None else "–"
        rows.append(
            TimelineRow(
                step=step,
                definition=definitions.get(step.key, step.kind),
                note=note_of(step, progress.get(step.n), now),
                duration=duration,
                segments=segments,
                text_x=segments[-1].x + segments[-1].width if segments else 0.0,
                says=duration if took is not None else "",
            )
        )
    return axis, rows


SIZES = {"box_width": BOX_WIDTH - 1, "box_height": BOX_HEIGHT - 1, "bar": BAR}
