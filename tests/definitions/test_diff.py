"""What differs between two versions."""

from __future__ import annotations

from definitions.diff import changed_fields, changes, difference
from definitions.textdiff import lines_of


def test_changes_name_every_place() -> None:
    before = {"config": {"code": "a", "limits": {"wall": 1}, "old": 1, "list": [1, 2]}, "input_schema": None}
    after = {
        "config": {"code": "b", "limits": {"wall": 2}, "new": 1, "list": [1, 3]},
        "input_schema": {"type": "object"},
    }
    found = changes(before, after)
    assert found == [
        {"path": "config.code", "change": "changed"},
        {"path": "config.limits.wall", "change": "changed"},
        {"path": "config.list.1", "change": "changed"},
        {"path": "config.new", "change": "added"},
        {"path": "config.old", "change": "removed"},
        {"path": "input_schema", "change": "changed"},
    ]
    assert changed_fields(found) == [
        "config.code",
        "config.limits",
        "config.list",
        "config.new",
        "config.old",
        "input_schema",
    ]


def test_equal_in_python_is_not_equal_in_json() -> None:
    assert changes({"a": True}, {"a": 1}) == [{"path": "a", "change": "changed"}]
    assert changes({"a": [1]}, {"a": [1]}) == []


def test_code_stands_in_the_text_diff_as_it_was_written() -> None:
    found = difference({"config": {"code": "one\ntwo\n"}}, {"config": {"code": "one\nthree\n"}}, ("s@1", "s@2"))
    assert found["text"].split("\n") == [
        "--- s@1",
        "+++ s@2",
        "@@ -1,5 +1,5 @@",
        " config:",
        "   code:",
        "     one",
        "-    two",
        "+    three",
        "     ",
    ]


def test_every_json_value_has_lines() -> None:
    value = {"a": [], "b": {}, "c": [{"x": 1, "y": "p\nq"}, "t", [1, [2]]], "d": None, "e": "ä"}
    assert lines_of(value) == [
        "a: []",
        "b: {}",
        "c:",
        "  - x: 1",
        "    y:",
        "      p",
        "      q",
        '  - "t"',
        "  - - 1",
        "    - - 2",
        "d: null",
        'e: "ä"',
    ]
    assert difference(value, value, ("a", "b")) == {"changed": [], "changes": [], "text": ""}
