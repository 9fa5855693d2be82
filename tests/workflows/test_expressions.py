"""Expressions in graphs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.expressions import EvaluationFailed, Template

SCOPE: dict[str, Any] = {
    "inputs": {"region": "emea", "count": 3, "ratio": 1.5, "flag": True, "nothing": None},
    "steps": {"rows": {"state": "succeeded", "output": {"list": [{"id": 1}, {"id": 2}]}}},
    "item": {"name": "a"},
    "index": 4,
    "run": {"id": "r", "labels": {"team": "x"}},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${{ inputs.count }}", 3),
        ("${{ inputs.ratio }}", 1.5),
        ("${{ inputs.flag }}", True),
        ("${{ inputs.nothing }}", None),
        ("${{ steps.rows.output.list[1].id }}", 2),
        ("${{ steps.rows.output.list.map(row, row.id) }}", [1, 2]),
        ("${{ size(steps.rows.output.list) > 1 && inputs.flag }}", True),
        ("${{ {'a': {'b': inputs.count}} }}", {"a": {"b": 3}}),
        ("${{ item.name + '}}' }}", "a}}"),
        ("${{ run.labels.team }}", "x"),
        ("${{ has(inputs.other) }}", False),
    ],
)
def test_a_whole_expression_keeps_the_type_of_its_value(template: str, value: Any) -> None:
    assert Template(template).evaluate(SCOPE) == value
    assert type(Template(template).evaluate(SCOPE)) is type(value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Region ${{ inputs.region }}, ${{ inputs.count }} rows", "Region emea, 3 rows"),
        ("is ${{ item }}", 'is {"name": "a"}'),
        ("write $${{ inputs.x }} as it is", "write ${{ inputs.x }} as it is"),
        ("{{7*7}} {x.__class__} %(x)s ${x}", "{{7*7}} {x.__class__} %(x)s ${x}"),
    ],
)
def test_text_around_expressions_is_interpolated_and_nothing_else_is(template: str, text: str) -> None:
    assert Template(template).evaluate(SCOPE) == text


def test_expressions_are_found_at_any_depth() -> None:
    template = Template({"a": [1, {"b": "${{ inputs.count }}"}], "c": "plain"})

    assert template.evaluate(SCOPE) == {"a": [1, {"b": 3}], "c": "plain"}
    assert template.inputs == {"count"}


@pytest.mark.parametrize(
    ("template", "path", "said"),
    [
        ({"a": ["${{ inputs. }}"]}, "a.0", "not a CEL expression"),
        ("${{ secrets.key }}", "", "unknown name `secrets`"),
        ("${{ steps['rows'].output }}", "", "name a step as steps.<key>"),
        ("${{ inputs.a", "", "not closed"),
        ("${{  }}", "", "empty"),
        ("${{ " + "1+" * 3000 + "1 }}", "", "at most"),
    ],
)
def test_what_does_not_compile_is_said_with_its_path(template: Any, path: str, said: str) -> None:
    problems = Template(template).problems

    assert [place for place, _ in problems] == [path]
    assert said in problems[0][1]


@pytest.mark.parametrize(
    "template", ["${{ inputs.missing }}", "${{ inputs.count / 0 }}", "${{ inputs.count + 'a' }}", "${{ nosuch(1) }}"]
)
def test_an_expression_without_a_value_fails_with_a_sentence(template: str) -> None:
    with pytest.raises(EvaluationFailed, match="`"):
        Template(template).evaluate(SCOPE)


def test_names_inside_strings_are_not_references() -> None:
    assert Template("${{ 'steps.rows' + inputs.region }}").steps == frozenset()


def test_python_is_out_of_reach() -> None:
    for source in ("inputs.__class__", "inputs.region.__len__", "item.__class__.__mro__"):
        with pytest.raises(EvaluationFailed):
            Template("${{ " + source + " }}").evaluate(SCOPE)


@given(st.text(max_size=200))
def test_no_text_at_all_breaks_the_compiler(text: str) -> None:
    template = Template(text)

    if not template.problems and template.is_constant and "$${{" not in text:
        assert template.evaluate({}) == text
