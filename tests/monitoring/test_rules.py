"""What a rule makes of values: the decider alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitoring.rules import Standing, Terms, judge, problems_of

START = datetime(2026, 11, 24, tzinfo=UTC)
BELOW = Terms(aggregate="avg", comparison="<", threshold=0.8, warn_threshold=0.9, window=300)


def happenings(terms: Terms, values: list[float | None], minutes: int = 1) -> list[str | None]:
    """Return what happens while values come one a minute."""
    standing, found = Standing(), []
    for n, value in enumerate(values):
        verdict = judge(terms, standing, value, START + timedelta(minutes=n * minutes))
        standing = verdict.standing
        found.append(verdict.happening and f"{verdict.happening} {standing.open or ''}".strip())
    return found


@pytest.mark.parametrize(
    ("comparison", "bad", "edge", "good"), [("<", 1, 2, 3), ("<=", 2, 2, 3), (">", 3, 2, 1), (">=", 2, 2, 1)]
)
def test_each_comparison_opens_beyond_the_threshold_only(comparison: str, bad: float, edge: float, good: float) -> None:
    terms = Terms(aggregate="avg", comparison=comparison, threshold=2, window=60)
    at_edge = "opened alert" if "=" in comparison else None

    assert happenings(terms, [bad]) == ["opened alert"]
    assert happenings(terms, [edge]) == [at_edge]
    assert happenings(terms, [good]) == [None]


def test_a_warning_comes_first_and_rises_once() -> None:
    values = [0.95, 0.85, 0.85, 0.7, 0.7, 0.85, 0.95, 0.7]

    assert happenings(BELOW, values) == [
        None,
        "opened warn",
        None,
        "escalated alert",
        None,
        None,
        "resolved",
        "opened alert",
    ]


def test_it_has_to_be_bad_for_a_while_without_a_break() -> None:
    terms = Terms(aggregate="avg", comparison=">", threshold=10, window=60, hold=120)

    assert happenings(terms, [11, 11, 5, 11, 11, 11, 11]) == [None] * 5 + ["opened alert", None]


def test_a_value_that_trembles_at_the_threshold_opens_once() -> None:
    terms = Terms(aggregate="avg", comparison="<", threshold=0.8, recover_threshold=0.85, window=60)

    assert happenings(terms, [0.79, 0.81, 0.79, 0.84, 0.79, 0.85, 0.84]) == [
        "opened alert",
        *[None] * 4,
        "resolved",
        None,
    ]


@pytest.mark.parametrize(
    ("no_data", "expected"),
    [
        ("keep", ["opened alert", None, None]),
        ("ok", ["opened alert", "resolved", None]),
        ("alert", ["opened alert", None, None]),
    ],
)
def test_silence_while_an_alert_is_open(no_data: str, expected: list[str | None]) -> None:
    terms = Terms(aggregate="avg", comparison="<", threshold=0.8, window=60, no_data=no_data)

    assert happenings(terms, [0.5, None, None]) == expected


@pytest.mark.parametrize(("no_data", "expected"), [("keep", None), ("ok", None), ("alert", "opened alert")])
def test_silence_while_all_is_well(no_data: str, expected: str | None) -> None:
    terms = Terms(aggregate="avg", comparison="<", threshold=0.8, window=60, no_data=no_data)

    assert happenings(terms, [0.9, None])[1] == expected


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"aggregate": "median"}, "aggregate"),
        ({"comparison": "="}, "comparison"),
        ({"no_data": "panic"}, "no_data"),
        ({"window": 59}, "window"),
        ({"window": 8 * 86400}, "window"),
        ({"hold": -1}, "for"),
        ({"renotify": 5}, "renotify"),
        ({"warn_threshold": 0.8}, "warn_threshold"),
        ({"warn_threshold": 0.7}, "warn_threshold"),
        ({"recover_threshold": 0.7}, "recover_threshold"),
        ({"comparison": ">", "warn_threshold": 0.9}, "warn_threshold"),
        ({"comparison": ">", "recover_threshold": 0.9}, "recover_threshold"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(change: dict[str, object], path: str) -> None:
    plain = {"aggregate": "avg", "comparison": "<", "threshold": 0.8, "window": 300}

    assert list(problems_of(Terms(**plain))) == []  # type: ignore[arg-type]
    assert [problem.path for problem in problems_of(Terms(**{**plain, **change}))] == [path]  # type: ignore[arg-type]
