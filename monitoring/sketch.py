"""A summary of many values that merges exactly and still knows its percentiles to 1 %.

Each value falls into a class whose borders grow by a constant factor (a DDSketch), so that any value taken from a class
is within 1 % of the true one, whatever the order of merging. Count, sum, least and greatest are exact.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

ACCURACY = 0.01
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
_LOG_MIDDLE = math.log(2 / (_GAMMA + 1))
# The class of the smallest float is above minus this, so that classes of positive values are positive numbers.
_OFFSET = 40_000

AGGREGATES = ("avg", "min", "max", "sum", "count", "p50", "p95", "p99")
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def class_of(value: float) -> int:
    """Return the number of the class of `value`: ascending with it, 0 for zero, negative for negative values."""
    if value == 0:
        return 0
    number = math.ceil(math.log(abs(value)) / _LOG_GAMMA) + _OFFSET
    return number if value > 0 else -number


def value_of(number: int) -> float:
    """Return the value that stands for the class `number`, at most 1 % off any value in it."""
    if number == 0:
        return 0.0
    # The middle of the outermost class may be beyond a float.
    size = math.exp(min(709.78, (abs(number) - _OFFSET) * _LOG_GAMMA + _LOG_MIDDLE))
    return size if number > 0 else -size


@dataclass(slots=True)
class Sketch:
    """What is kept of some values. Empty: `count` is 0."""

    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    classes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[float]) -> Sketch:
        """Return the summary of `values`."""
        made = cls()
        for value in values:
            made.add(value)
        return made

    def add(self, value: float) -> None:
        """Take one finite value in."""
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        number = class_of(value)
        self.classes[number] = self.classes.get(number, 0) + 1

    def merge(self, other: Sketch) -> None:
        """Take in what another summary holds, as if its values had been added here."""
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        for number, count in other.classes.items():
            self.classes[number] = self.classes.get(number, 0) + count

    def remove(self, other: Sketch) -> None:
        """Take out what was merged in before. `low` and `high` stay as they are: they can't be taken back."""
        self.count -= other.count
        # Rounding must leave no dust behind when everything is out.
        self.total = self.total - other.total if self.count else 0.0
        for number, count in other.classes.items():
            left = self.classes[number] - count
            if left:
                self.classes[number] = left
            else:
                del self.classes[number]

    def quantile(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of the values do not exceed. Raises ValueError when empty."""
        if not self.count:
            raise ValueError("no values")
        return _pick(self.classes, share * (self.count - 1), self.low, self.high)

    def value(self, aggregate: str) -> float | None:
        """Return one of AGGREGATES; None when empty, except for `count` and `sum`, which are 0 then."""
        if aggregate == "count":
            return float(self.count)
        if aggregate == "sum":
            return self.total
        if not self.count:
            return None
        match aggregate:
            case "avg":
                return self.total / self.count
            case "min":
                return self.low
            case "max":
                return self.high
            case _:
                return self.quantile(QUANTILES[aggregate])

    def packed(self) -> bytes:
        """Return the classes for storage: numbers in order, then counts, as little-endian 32-bit integers."""
        size = len(self.classes)
        numbers = sorted(self.classes)
        return struct.pack(f"<{size}i{size}I", *numbers, *map(self.classes.__getitem__, numbers))


def merged_quantile(parts: Iterable[tuple[int, float, float, bytes]], share: float) -> float:
    """Return the quantile of several stored sketches (count, least, greatest, packed classes) without making them.

    A chart of wide buckets merges tens of thousands of them. Raises ValueError when empty.
    """
    classes: dict[int, int] = {}
    known = classes.get
    total, low, high = 0, math.inf, -math.inf
    for count, least, greatest, data in parts:
        numbers = struct.unpack(f"<{len(data) // 8}i{len(data) // 8}I", data)
        size = len(numbers) // 2
        for number, times in zip(numbers[:size], numbers[size:], strict=True):
            classes[number] = known(number, 0) + times
        total, low, high = total + count, min(low, least), max(high, greatest)
    if not total:
        raise ValueError("no values")
    return _pick(classes, share * (total - 1), low, high)


def _pick(classes: dict[int, int], rank: float, low: float, high: float) -> float:
    numbers = sorted(classes)
    place = bisect_right(list(accumulate(map(classes.__getitem__, numbers))), rank)
    return min(high, max(low, value_of(numbers[min(place, len(numbers) - 1)])))


def unpacked(data: bytes) -> dict[int, int]:
    """Return the classes that `Sketch.packed` wrote."""
    size = len(data) // 8
    numbers = struct.unpack(f"<{size}i{size}I", data)
    return dict(zip(numbers[:size], numbers[size:], strict=True))
