"""JSON Schemas that users wrote."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mcp_site.core.schemas import problems_of_schema, problems_of_value


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ([], "invalid"),
        ({"type": "nonsense"}, "invalid_schema"),
        ({"$ref": "https://example.com/schema"}, "remote_reference"),
        ({"$ref": "file:///etc/passwd"}, "remote_reference"),
        ({"pattern": "(?=lookahead)"}, "invalid_pattern"),
        ({"patternProperties": {"(?!x)": {}}}, "invalid_pattern"),
        ({"enum": ["x" * 300_000]}, "too_large"),
    ],
)
def test_a_schema_that_can_not_be_used_is_refused(schema: Any, code: str) -> None:
    assert [problem.code for problem in problems_of_schema(schema)] == [code]


def test_values_are_held_to_their_schema_with_paths() -> None:
    schema = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": {"type": "object", "required": ["id"]}},
            "n": {"type": "integer"},
        },
        "required": ["n", "m"],
        "additionalProperties": False,
    }

    found = {(p.path, p.code) for p in problems_of_value(schema, {"rows": [{"id": 1}, {}], "n": "x", "extra": 1})}

    assert found == {("rows.1.id", "required"), ("n", "invalid"), ("m", "required"), ("extra", "invalid")}


def test_a_hostile_pattern_takes_no_time() -> None:
    started = time.monotonic()

    assert problems_of_value({"type": "string", "pattern": "^(a+)+$"}, "a" * 5000 + "!")
    assert time.monotonic() - started < 2


def test_a_problem_never_repeats_the_value() -> None:
    schemas: list[dict[str, Any]] = [
        {"type": "integer"},
        {"enum": [1]},
        {"const": 1},
        {"pattern": "^x$"},
        {"maxLength": 2},
        {"not": {}},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {"additionalProperties": False, "type": "object"},
        {"if": True, "then": False},
    ]
    for schema in schemas:
        for problem in problems_of_value(schema, "hunter2"):
            assert "hunter2" not in problem.detail, schema


def test_a_reference_to_nothing_is_a_problem_and_no_crash() -> None:
    assert problems_of_value({"$ref": "#/$defs/none"}, 1)[0].code == "invalid_schema"


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert problems_of_value({"$ref": "#"}, 1)[0].code == "invalid_schema"
