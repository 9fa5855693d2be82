"""Documents that strangers wrote."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_site.core.documents import canonical, load_json, load_yaml
from mcp_site.core.errors import Rejected

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_canonically_reads_back_the_same(value: object) -> None:
    assert load_json(canonical(value)) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"{", "parse_error"),
        (b"NaN", "parse_error"),
        (b'{"a": Infinity}', "parse_error"),
        (b"9" * 10_000, "parse_error"),
        (b"\xff", "parse_error"),
        (b"[" * 65 + b"]" * 65, "too_deep"),
        (b'["\\u0000"]', "null_character"),
        (b'{"a": "\\ud800"}', "not_text"),
        (b'{"\\u0000": 1}', "null_character"),
    ],
)
def test_bad_json_is_refused_with_a_code(text: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        load_json(text)

    assert refused.value.code == code


def test_brackets_inside_text_are_no_depth() -> None:
    assert load_json(b'["' + b"[" * 200 + b'", "\\"[["]')


def test_a_deep_document_is_refused_before_a_parser_recurses() -> None:
    started = time.monotonic()
    with pytest.raises(Rejected):
        load_json(b"[" * 1_000_000)

    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: &x 1\nb: *x",
        "a: 1\na: 2",
        "1: x",
        "!!python/object/apply:os.system ['true']",
        "a: .nan",
        "a: !!binary aGk=",
        "? [a]\n: 1",
        "\x00",
    ],
)
def test_yaml_that_says_more_than_json_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        load_yaml(text)


def test_yaml_keeps_dates_as_text_and_names_the_line_of_a_fault() -> None:
    assert load_yaml("a: 2026-01-01\nb: yes") == {"a": "2026-01-01", "b": True}
    with pytest.raises(Rejected) as refused:
        load_yaml("a: 1\nb: [\n")
    assert refused.value.problems[0].line is not None


def test_a_billion_laughs_does_not_get_to_laugh() -> None:
    lines = ["a0: &a0 x"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]

    with pytest.raises(Rejected, match="aliases"):
        load_yaml("\n".join(lines))
