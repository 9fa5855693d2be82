"""Where the steps of a graph stand on a page, and how the lines between them run. Pure.

Layers by the longest path from the start, order inside a layer by the mean place of the neighbours, heights so that
lines are as straight as they can be. A line that passes over layers gets a place of its own in each of them, so that
it does not run through boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor

BOX_WIDTH, BOX_HEIGHT = 164, 50
COLUMN, ROW = 200, 72
MARGIN_X, MARGIN_Y = 4, 12
# Places of passing lines in all; beyond, long lines run straight: such a graph is read by searching, not by eye.
MAX_PASSING = 4_000
SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Node:
    """A step to be placed: its key, and the keys of the steps before it. What is written in the box changes nothing."""

    key: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with the left upper corner of its box."""

    key: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one step to another, as an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole graph, ready to be drawn in a box of `width` by `height`."""

    width: int
    height: int
    nodes: tuple[Placed, ...]
    edges: tuple[Edge, ...]


@dataclass
class _Work:
    """The graph while it is being placed; a place is a step's index or, from len(nodes) on, a passing line's."""

    layer: list[int] = field(default_factory=list)
    columns: list[list[int]] = field(default_factory=list)
    left: list[list[int]] = field(default_factory=list)
    right: list[list[int]] = field(default_factory=list)

    def add(self, layer: int) -> int:
        """Make a place in a layer."""
        self.layer.append(layer)
        self.left.append([])
        self.right.append([])
        while len(self.columns) <= layer:
            self.columns.append([])
        self.columns[layer].append(len(self.layer) - 1)
        return len(self.layer) - 1

    def join(self, before: int, after: int) -> None:
        """Connect two places of neighbouring layers."""
        self.right[before].append(after)
        self.left[after].append(before)


def _layers(nodes: Sequence[Node], index: Mapping[str, int]) -> list[int]:
    """Return each step's layer: 0 without parents, else one more than its latest parent's."""
    parents = [[index[key] for key in node.needs if key in index] for node in nodes]
    children: list[list[int]] = [[] for _ in nodes]
    waiting = [0] * len(nodes)
    for place, before in enumerate(parents):
        waiting[place] = len(before)
        for parent in before:
            children[parent].append(place)
    layer = [0] * len(nodes)
    ready = [place for place, count in enumerate(waiting) if not count]
    for place in ready:
        for child in children[place]:
            layer[child] = max(layer[child], layer[place] + 1)
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return layer


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _order(work: _Work) -> None:
    """Sort each layer by the mean place of its neighbours, from left to right and back, a few times."""
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        columns = work.columns if forward else work.columns[::-1]
        for beside, column in pairwise(columns):
            rank = {place: number for number, place in enumerate(beside)}
            near = work.left if forward else work.right
            weight = {
                place: _mean([rank[other] for other in near[place] if other in rank], number)
                for number, place in enumerate(column)
            }
            column.sort(key=weight.__getitem__)


def _apart(wanted: Sequence[float]) -> list[float]:
    """Return the heights closest to `wanted` (least squares) that are at least one row apart, in the same order."""
    blocks: list[tuple[float, int]] = []
    for number, height in enumerate(wanted):
        total, count = height - number * ROW, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    found: list[float] = []
    for total, count in blocks:
        found += [total / count + (len(found) + step) * ROW for step in range(count)]
    return found


def _heights(work: _Work) -> list[int]:
    """Return the height of each place, in whole half rows, the highest at 0."""
    height = [0.0] * len(work.layer)
    for column in work.columns:
        for number, place in enumerate(column):
            height[place] = (number - (len(column) - 1) / 2) * ROW
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        near = work.left if forward else work.right
        for column in work.columns if forward else work.columns[::-1]:
            wanted = [_mean([height[other] for other in near[place]], height[place]) for place in column]
            for place, found in zip(column, _apart(wanted), strict=True):
                height[place] = found
    half = ROW / 2
    snapped = [int(floor(value / half + 0.5) * half) for value in height]
    top = min(snapped, default=0)
    return [value - top for value in snapped]


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    if y == to_y:
        return f"H{to_x}"
    middle = (x + to_x) // 2
    return f"C{middle} {y} {middle} {to_y} {to_x} {to_y}"


def _path(work: _Work, height: Sequence[int], stops: Sequence[int]) -> str:
    """Return the line along `stops`: curves in the gaps between columns, straight through the columns."""
    middle = MARGIN_Y + BOX_HEIGHT // 2
    start = stops[0]
    x, y = MARGIN_X + work.layer[start] * COLUMN + BOX_WIDTH, height[start] + middle
    parts = [f"M{x} {y}"]
    for stop in stops[1:]:
        gap_end = MARGIN_X + work.layer[stop] * COLUMN
        gap_start = gap_end - (COLUMN - BOX_WIDTH)
        if gap_start > x:
            parts.append(f"H{gap_start}")
        to_y = height[stop] + middle
        parts.append(_curve(gap_start, y, gap_end, to_y))
        x, y = gap_end, to_y
    return "".join(parts)


def _joined(work: _Work, nodes: Sequence[Node], index: Mapping[str, int]) -> list[tuple[int, int, list[int]]]:
    """Connect the places, making some for passing lines. Returns (source, target, stops) of each edge."""
    found = []
    passing = 0
    for target, node in enumerate(nodes):
        for source in dict.fromkeys(index[key] for key in node.needs if key in index):
            stops = [source]
            span = work.layer[target] - work.layer[source] - 1
            if 0 < span <= MAX_PASSING - passing:
                passing += span
                stops += [work.add(work.layer[source] + step) for step in range(1, span + 1)]
            stops.append(target)
            found.append((source, target, stops))
            for before, after in pairwise(stops):
                if work.layer[after] == work.layer[before] + 1:
                    work.join(before, after)
    return found


def layout(steps: Iterable[Node]) -> Drawing:
    """Place the steps. Keys in `needs` that are no step are left out; a cycle is drawn, however it looks."""
    nodes = tuple(steps)
    index = {node.key: place for place, node in enumerate(nodes)}
    work = _Work()
    for layer in _layers(nodes, index):
        work.add(layer)
    edges = _joined(work, nodes, index)
    _order(work)
    height = _heights(work)
    placed = tuple(
        Placed(node.key, MARGIN_X + work.layer[place] * COLUMN, MARGIN_Y + height[place])
        for place, node in enumerate(nodes)
    )
    return Drawing(
        width=MARGIN_X * 2 + max(0, len(work.columns) - 1) * COLUMN + (BOX_WIDTH if nodes else 0),
        height=MARGIN_Y * 2 + max(height, default=0) + (BOX_HEIGHT if nodes else 0),
        nodes=placed,
        edges=tuple(
            Edge(nodes[source].key, nodes[target].key, _path(work, height, stops)) for source, target, stops in edges
        ),
    )
