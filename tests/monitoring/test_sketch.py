"""The summary that percentiles come from: exact where it says so, within 1 % elsewhere, however it was merged."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.sketch import (
    ACCURACY,
    AGGREGATES,
    QUANTILES,
    Sketch,
    class_of,
    merged_quantile,
    unpacked,
    value_of,
)

VALUES = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, width=64)


@given(VALUES)
def test_the_value_of_a_class_is_within_one_percent_of_any_value_in_it(value: float) -> None:
    found = value_of(class_of(value))

    assert math.isclose(found, value, rel_tol=ACCURACY * 1.01, abs_tol=0.0)


@given(st.lists(VALUES, min_size=2, max_size=40))
def test_classes_rise_with_their_values(values: list[float]) -> None:
    values.sort()

    assert [class_of(value) for value in values] == sorted(class_of(value) for value in values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(0, 200), st.sampled_from(list(QUANTILES)))
def test_a_percentile_of_merged_parts_is_that_of_the_whole(values: list[float], cut: int, name: str) -> None:
    whole, left, right = Sketch.of(values), Sketch.of(values[:cut]), Sketch.of(values[cut:])

    right.merge(left)

    true = sorted(values)[int(QUANTILES[name] * (len(values) - 1))]
    assert right.classes == whole.classes
    assert (right.count, right.low, right.high) == (len(values), min(values), max(values))
    parts = [
        (part.count, part.low, part.high, part.packed()) for part in (Sketch.of(values[:cut]), Sketch.of(values[cut:]))
    ]
    assert merged_quantile(parts, QUANTILES[name]) == whole.value(name)
    assert math.isclose(right.value(name) or 0.0, true, rel_tol=ACCURACY * 1.01, abs_tol=1e-300)


def test_count_sum_least_and_greatest_are_exact() -> None:
    sketch = Sketch.of([3.0, -1.0, 0.0, 8.5])

    assert [sketch.value(name) for name in ("count", "sum", "min", "max", "avg")] == [4.0, 10.5, -1.0, 8.5, 2.625]


def test_nothing_counts_as_zero_and_has_no_average() -> None:
    empty = Sketch()

    assert {name: empty.value(name) for name in AGGREGATES} == {
        **dict.fromkeys(AGGREGATES),
        "count": 0.0,
        "sum": 0.0,
    }
    with pytest.raises(ValueError, match="no values"):
        empty.quantile(0.5)
    with pytest.raises(ValueError, match="no values"):
        merged_quantile([], 0.5)


def test_packing_keeps_every_class() -> None:
    sketch = Sketch.of(random.Random(7).lognormvariate(4, 2) for _ in range(5000))

    assert unpacked(sketch.packed()) == sketch.classes
    assert len(sketch.packed()) == 8 * len(sketch.classes)
