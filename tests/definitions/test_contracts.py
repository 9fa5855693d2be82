"""What every kind of definition promises, read off the table of kinds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from definitions import kinds
from definitions.kinds.base import ErrorClass
from mcp_site.core.schemas import problems_of_schema

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference" / "kinds"
ALL = kinds.all_kinds()
each_kind = pytest.mark.parametrize("kind", ALL, ids=[kind.name for kind in ALL])


def page(kind: kinds.Kind) -> str:
    return (PAGES / f"{kind.name}.md").read_text(encoding="utf-8")


def example(kind: kinds.Kind) -> dict[str, Any]:
    found = re.search(r"```json\n(.*?)```", page(kind).partition("## Example")[2], re.DOTALL)
    assert found, "the page has no example"
    return dict(json.loads(found[1]))


@each_kind
def test_a_kind_says_what_it_is(kind: kinds.Kind) -> None:
    assert kind.name in kinds.KINDS
    assert kinds.get(kind.name) is kind
    assert kind.label
    assert kind.description.endswith(".")
    assert kind.queue
    assert kind.on_lost in ("retry", "fail")
    assert kind.default_timeout > 0


@each_kind
def test_its_config_is_a_form(kind: kinds.Kind) -> None:
    schema = kind.Config.model_json_schema()
    assert problems_of_schema(schema) == []
    assert schema["additionalProperties"] is False
    assert set(kind.ui) <= set(schema["properties"])
    json.dumps(dict(kind.ui))


@each_kind
def test_its_page_names_every_field_and_a_class_of_each_failure(kind: kinds.Kind) -> None:
    text = page(kind)
    missing = [name for name in kind.Config.model_json_schema()["properties"] if f"`{name}`" not in text]
    assert missing == []
    named = set(re.findall(r"^\| `([a-z_0-9]+)` \| ", text.partition("## Failures")[2], re.MULTILINE))
    assert named
    assert named <= set(get_args(ErrorClass))


@each_kind
def test_its_example_can_be_saved_as_it_stands(kind: kinds.Kind) -> None:
    body = example(kind)
    assert set(body) == {"slug", "name", "kind", "config"}
    assert body["kind"] == kind.name
    config = kinds.read_config(kind, body["config"])
    assert kind.problems(config) == []
    inferred = kind.infer(config)
    for schema in (inferred.input_schema, inferred.output_schema):
        assert schema is None or problems_of_schema(schema) == []
    assert inferred.input_schema is not None
    # What is stored is what is run.
    assert kinds.read_config(kind, config.model_dump(mode="json")) == config
    assert isinstance(kind.summary(config), str)


@each_kind
def test_a_kind_is_one_file_one_line_and_one_page(kind: kinds.Kind) -> None:
    assert (PAGES / f"{kind.name}.md").is_file()
    assert type(kind).__module__ == f"definitions.kinds.{kind.name}"


def test_there_is_no_page_without_a_kind() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(kinds.KINDS)


def test_the_table_is_read_without_the_libraries_that_only_running_needs() -> None:
    code = (
        "import sys; from definitions import kinds; "
        "[kind.Config.model_json_schema() for kind in kinds.all_kinds()]; "
        "print(sorted({'nbclient', 'nbformat', 'zmq', 'openai', 'IPython'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PAGES.parents[2]
    )
    assert found.stdout.strip() == "[]"
