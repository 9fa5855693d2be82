"""The pages of definitions: the list, and one with its config, versions, inputs and uses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from definitions import services
from definitions.forms import fields_of_schema, type_in_words
from definitions.models import Definition

Browser = Callable[[User | None], Client]
EVIL = "<script>alert(1)</script>"
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"# {EVIL}"},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"tags": ["parameters"]},
            "source": ["n = 3\n", "n"],
            "outputs": [],
            "execution_count": None,
        },
    ],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "script": {"language": "python", "code": f"def main(n: int = 3):\n    return '{EVIL}'\n"},
    "llm": {"provider": "dry-run", "messages": [{"role": "user", "content": f"Say {EVIL} to ${{{{ inputs.who }}}}"}]},
    "notebook": {"notebook": NOTEBOOK},
}


def make(by: User, slug: str, kind: str = "script", config: Any = None, **fields: Any) -> Definition:
    definition = services.create_definition(by=by, slug=slug, name=fields.pop("name", slug), kind=kind, **fields)
    services.save_version(by=by, definition=definition, config=config or CONFIGS[kind])
    definition.refresh_from_db()
    return definition


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_definition_of_each_kind_shows_its_config_and_escapes_it(
    browser: Browser, ben: User, cyd: User, kind: str
) -> None:
    make(ben, "thing", kind, name=EVIL, description=EVIL, tags=[EVIL])

    page = text_of(browser(cyd).get("/definitions/thing/"))

    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_list_shows_kind_aliases_and_version_and_can_be_narrowed(browser: Browser, ben: User, cyd: User) -> None:
    first = make(ben, "first", tags=["weekly"])
    make(ben, "second", "llm")
    services.move_alias(by=ben, definition=first, name="production", number=1)
    client = browser(cyd)

    def found(query: str) -> set[str]:
        page = text_of(client.get(f"/definitions/?{query}"))
        return {slug for slug in ("first", "second") if f"/definitions/{slug}/" in page}

    assert found("") == {"first", "second"}
    assert found("search=FIR") == {"first"}
    assert found("kind=llm") == {"second"}
    assert found("tag=weekly") == {"first"}
    assert found("archived=on") == set()
    assert "production v1" in text_of(client.get("/definitions/"))
    assert "Nothing matches" in text_of(client.get("/definitions/?search=zzz"))


def test_a_query_that_is_not_understood_is_said_and_not_guessed(browser: Browser, ben: User) -> None:
    page = text_of(browser(ben).get("/definitions/?kind=spell&page=x&search=%00"))

    assert "Not understood:" in page
    for name in ("kind", "page", "search"):
        assert f'<p class="c-note__more">{name}: ' in page


def test_htmx_gets_the_rows_alone(browser: Browser, ben: User) -> None:
    make(ben, "thing")

    rows = text_of(browser(ben).get("/definitions/?search=thing", headers={"HX-Request": "true"}))

    assert "<html" not in rows
    assert "/definitions/thing/" in rows


def test_what_a_person_may_not_see_is_not_there(browser: Browser, ben: User, ada: User, dov: User, cyd: User) -> None:
    make(ben, "secret-thing", visibility="private")

    for stranger in (dov, cyd):
        client = browser(stranger)
        assert client.get("/definitions/secret-thing/").status_code == 404
        assert "secret-thing" not in text_of(client.get("/definitions/"))
    assert browser(ada).get("/definitions/secret-thing/").status_code == 200


def test_versions_can_be_looked_at_and_compared(browser: Browser, ben: User) -> None:
    definition = make(ben, "thing")
    services.save_version(
        by=ben,
        definition=definition,
        config={"language": "python", "code": "def main():\n    return 42\n"},
        note="Simpler",
    )
    client = browser(ben)

    assert "return 42" in text_of(client.get("/definitions/thing/"))
    assert "return 42" not in text_of(client.get("/definitions/thing/?version=1"))
    compared = text_of(client.get("/definitions/thing/?version=2&compare=1"))
    assert re.search(r'<span data-d="add">\+ +return 42</span>', compared)
    for query in ("version=3", "version=x", "version=-1", "version=99999999999", "version=1&compare=y"):
        assert client.get(f"/definitions/thing/?{query}").status_code == 404


def test_a_definition_without_a_version_says_what_to_do(browser: Browser, ben: User) -> None:
    services.create_definition(by=ben, slug="bare", name="Bare", kind="script")

    assert "No version yet" in text_of(browser(ben).get("/definitions/bare/"))


def test_the_list_costs_the_same_queries_for_one_and_for_ten(browser: Browser, ben: User, cyd: User) -> None:
    client = browser(cyd)

    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get("/definitions/").status_code == 200
        return len(queries)

    services.move_alias(by=ben, definition=make(ben, "thing-0"), name="production", number=1)
    client.get("/definitions/")
    one = cost()
    for number in range(1, 10):
        services.move_alias(by=ben, definition=make(ben, f"thing-{number}"), name="production", number=1)

    assert cost() == one


def test_a_long_list_goes_over_pages(browser: Browser, ben: User) -> None:
    Definition.objects.bulk_create(
        Definition(slug=f"thing-{number:02}", name="x", kind="script", owner=ben) for number in range(60)
    )
    client = browser(ben)

    first, second = text_of(client.get("/definitions/")), text_of(client.get("/definitions/?page=2&search=thing"))

    assert "1–50 of 60 definitions" in first
    assert "thing-59" in second
    assert "?page=1&amp;search=thing" in second


def test_archived_definitions_are_shown_only_when_asked_for(browser: Browser, ben: User) -> None:
    services.archive_definition(by=ben, definition=make(ben, "old"))
    client = browser(ben)

    assert reverse("definition-detail", args=["old"]) not in text_of(client.get("/definitions/"))
    assert reverse("definition-detail", args=["old"]) in text_of(client.get("/definitions/?archived=on"))
    assert "Run it" not in text_of(client.get("/definitions/old/"))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer", "minimum": 1, "maximum": 20}, "integer, 1 to 20"),
        ({"type": "number", "minimum": 0}, "number, at least 0"),
        ({"type": ["string", "null"], "format": "date"}, "string or null, date"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"enum": [1, "b", None]}, "one of 1, b, None"),
        ({}, "any"),
    ],
)
def test_types_are_written_in_words(rule: dict[str, Any], words: str) -> None:
    assert type_in_words(rule) == words


@pytest.mark.parametrize("schema", [None, True, [], {}, {"properties": 5}, {"properties": {"a": True}, "required": 7}])
def test_a_schema_of_any_shape_is_read_without_complaint(schema: Any) -> None:
    assert [field.name for field in fields_of_schema(schema)] in ([], ["a"])
