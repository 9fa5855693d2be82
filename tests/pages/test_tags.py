"""The small marks of all pages: what they say, and that they escape whatever they are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template import Context, Template

from accounts.templatetags import panel

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVIL = "<script>alert('1')</script>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.042, "42 ms"),
        (4.24, "4.2 s"),
        (18.9, "18 s"),
        (98, "1 m 38 s"),
        (timedelta(hours=2, minutes=11), "2 h 11 m"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (-5, "0 ms"),
    ],
)
def test_durations_are_written_for_people(value: Any, text: str) -> None:
    assert panel.spell(value) == text


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=4, seconds=10), "4 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=20), "2 Nov 2026"),
        (timedelta(minutes=-5), "in 5 min"),
    ],
)
def test_times_are_written_relative_to_now(back: timedelta, text: str) -> None:
    assert panel.ago_text(NOW - back, NOW) == text


@pytest.mark.parametrize(
    ("person", "letters"), [("Ada Admin", "AA"), ("ben@example.com", "BE"), ("cyd", "C"), ("", "?"), ("…", "…")]
)
def test_people_have_a_mark_of_two_letters_at_most(person: str, letters: str) -> None:
    assert panel.initials(person) == letters


def test_a_tree_escapes_names_and_values_and_keeps_lines() -> None:
    tree = str(panel.json_tree({EVIL: [EVIL, None, True, 1.5, {}, []], "two": "lines\nof text"}, "output"))

    assert "<script" not in tree
    assert "alert(&#x27;1&#x27;)" in tree
    assert ">null<" in tree
    assert ">true<" in tree
    assert ">1.5<" in tree
    assert "lines\nof text" in tree


def test_a_tree_of_any_size_and_depth_is_cut_and_says_so() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]

    wide, tall = str(panel.json_tree(list(range(100_000)))), str(panel.json_tree(deep))

    assert len(wide) < 200_000
    assert "… the API has the rest" in wide
    assert len(tall) < 10_000
    assert len(str(panel.json_tree("x" * 1_000_000))) < 10_000


@pytest.mark.parametrize(
    "mark",
    [
        "{% badge value %}",
        "{% badge 'ok' text=value %}",
        "{% icon value %}",
        "{% kind value %}",
        "{{ value|word }}",
        "{{ value|initials }}",
        "{{ value|cell }}",
        "{{ value|pretty }}",
        "{% json_tree value value %}",
    ],
)
def test_every_mark_escapes_what_it_is_given(mark: str) -> None:
    assert "<script" not in Template("{% load panel %}" + mark).render(Context({"value": EVIL}))


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"columns": [{"name": "a"}], "rows": [[1]]}, True),
        ({"columns": [], "rows": []}, True),
        ({"columns": ["a"], "rows": [[1]]}, False),
        ({"columns": [{"name": "a"}], "rows": [1]}, False),
        ({"rows": []}, False),
        ([], False),
        (None, False),
    ],
)
def test_only_what_has_columns_and_rows_is_a_table(value: Any, is_one: bool) -> None:
    assert bool(panel.is_table(value)) is is_one
