"""The definitions API as clients see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import User
from definitions import kinds, services
from definitions.models import Definition
from mcp_site.core import uses
from mcp_site.core.uses import Found, Use
from tests.definitions.conftest import prompt_config

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]
ROOT = "/api/v1/definitions"


def places(answer: Any) -> dict[str, str]:
    return {error["attr"]: error["code"] for error in answer.json()["errors"]}


def test_the_kinds_tell_what_a_form_needs(api: Api, cyd: User) -> None:
    listed = api(cyd).get("/api/v1/definition-kinds").json()
    assert [kind["name"] for kind in listed][:4] == ["script", "notebook", "llm", "sql"]
    for kind in listed:
        assert set(kind) == {"name", "label", "description", "config_schema", "ui"}
        assert kind["config_schema"]["type"] == "object"
        assert set(kind["ui"]) <= set(kind["config_schema"]["properties"])


def test_a_definition_is_made_with_its_first_version(api: Api, ben: User) -> None:
    body = {
        "slug": "greeting",
        "name": "Greeting",
        "kind": "llm",
        "description": "Says hello",
        "tags": ["words"],
        "config": prompt_config(),
        "note": "first",
    }
    made = api(ben).post(ROOT, body)
    assert made.status_code == 201
    assert made["Location"] == f"{ROOT}/greeting"
    shown = made.json()
    assert shown.pop("id")
    assert shown.pop("created_at")
    assert shown.pop("updated_at")
    assert shown == {
        "slug": "greeting",
        "name": "Greeting",
        "description": "Says hello",
        "kind": "llm",
        "tags": ["words"],
        "visibility": "organisation",
        "owner": {"id": str(ben.uid), "full_name": "Ben"},
        "latest_version": 1,
        "aliases": {},
        "archived": False,
    }
    version = api(ben).get(f"{ROOT}/greeting/versions/1").json()
    assert set(version) == {
        "id",
        "number",
        "config",
        "input_schema",
        "output_schema",
        "digest",
        "note",
        "created_by",
        "created_at",
    }
    assert (version["number"], version["note"], version["created_by"]["full_name"]) == (1, "first", "Ben")


def test_without_a_config_there_is_no_version_yet(api: Api, ben: User) -> None:
    shown = api(ben).post(ROOT, {"slug": "later", "name": "Later", "kind": "script"}).json()
    assert shown["latest_version"] is None
    assert api(ben).get(f"{ROOT}/later/versions").json()["results"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"slug": "required", "name": "required", "kind": "required"}),
        ({"slug": "Big", "name": "x", "kind": "llm"}, {"slug": "invalid"}),
        ({"slug": "x", "name": "x", "kind": "spell"}, {"kind": "unknown_kind"}),
        ({"slug": "x", "name": "x", "kind": "llm", "colour": 1}, {"colour": "unknown_field"}),
        ({"slug": "x", "name": "x", "kind": "llm", "tags": "words"}, {"tags": "not_a_list"}),
        ({"slug": "x", "name": "x", "kind": "llm", "config": []}, {"config": "not_object"}),
        ({"slug": "x", "name": "x", "kind": "llm", "note": "lost"}, {"config": "required"}),
        (
            {"slug": "x", "name": "x", "kind": "llm", "config": {"messages": [{"content": "${{ 1 + 1 }}"}]}},
            {"config.messages.0.content": "invalid"},
        ),
    ],
)
def test_a_wrong_body_is_refused_at_its_place_and_nothing_is_made(
    api: Api, ben: User, body: dict[str, Any], expected: dict[str, str]
) -> None:
    refused = api(ben).post(ROOT, body)
    assert refused.status_code == 400
    assert refused.json()["type"] == "validation_error"
    found = places(refused)
    assert set(found) == set(expected)
    if "config.messages.0.content" not in expected:
        assert found == expected
    assert not Definition.objects.exists()


def test_saving_the_same_again_answers_200_with_the_existing_version(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    same = client.post(f"{ROOT}/greeting/versions", {"config": prompt_config()})
    new = client.post(f"{ROOT}/greeting/versions", {"config": prompt_config("Bye"), "note": "shorter"})
    assert (same.status_code, same.json()["number"]) == (200, 1)
    assert (new.status_code, new.json()["number"], new["Location"]) == (201, 2, f"{ROOT}/greeting/versions/2")
    listed = client.get(f"{ROOT}/greeting/versions?page_size=1").json()
    assert [version["number"] for version in listed["results"]] == [2]
    assert [version["number"] for version in client.get(listed["next"]).json()["results"]] == [1]


def test_two_versions_are_compared(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    client.post(f"{ROOT}/greeting/versions", {"config": prompt_config("Bye, ${{ inputs.name }}.")})
    found = client.get(f"{ROOT}/greeting/diff?from=1").json()
    assert found["changed"] == ["config.messages"]
    assert found["changes"] == [{"path": "config.messages.0.content", "change": "changed"}]
    assert found["text"].startswith("--- greeting@1\n+++ greeting@2\n")
    assert client.get(f"{ROOT}/greeting/diff?from=2&to=2").json()["text"] == ""
    for query, expected in {
        "": {"from": "required"},
        "?from=0": {"from": "invalid"},
        "?from=1&to=9": {"to": "unknown_version"},
        "?from=1&until=2": {"until": "unknown_parameter"},
    }.items():
        assert places(client.get(f"{ROOT}/greeting/diff{query}")) == expected


def test_a_rollback_answers_the_new_version(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    client.post(f"{ROOT}/greeting/versions", {"config": prompt_config("Bye")})
    back = client.post(f"{ROOT}/greeting/rollback", {"to": 1})
    assert (back.status_code, back.json()["number"]) == (201, 3)
    assert client.post(f"{ROOT}/greeting/rollback", {"to": 3}).status_code == 200
    assert places(client.post(f"{ROOT}/greeting/rollback", {"to": 9})) == {"to": "unknown_version"}


def test_aliases_are_put_moved_and_removed_and_remembered(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    client.post(f"{ROOT}/greeting/versions", {"config": prompt_config("Bye")})
    put = client.put(f"{ROOT}/greeting/aliases/production", {"version": 1})
    assert (put.status_code, put.json()["aliases"]) == (200, {"production": 1})
    assert client.put(f"{ROOT}/greeting/aliases/production", {"version": 2}).json()["aliases"] == {"production": 2}
    assert places(client.put(f"{ROOT}/greeting/aliases/production", {"version": 9})) == {"version": "unknown_version"}
    assert places(client.put(f"{ROOT}/greeting/aliases/9", {"version": 1})) == {"name": "invalid"}
    assert client.delete(f"{ROOT}/greeting/aliases/production").status_code == 204
    assert client.delete(f"{ROOT}/greeting/aliases/production").status_code == 404
    moves = client.get(f"{ROOT}/greeting/aliases/production/moves").json()["results"]
    assert [(move["from_version"], move["to_version"]) for move in moves] == [(2, None), (1, 2), (None, 1)]
    assert moves[0]["moved_by"] == {"id": str(ben.uid), "full_name": "Ben"}


def test_fields_are_changed_one_by_one(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    changed = client.patch(f"{ROOT}/greeting", {"name": "Hello", "visibility": "private"}).json()
    assert (changed["name"], changed["visibility"], changed["tags"]) == ("Hello", "private", ["words"])
    assert places(client.patch(f"{ROOT}/greeting", {"slug": "other", "kind": "sql"})) == {
        "slug": "unknown_field",
        "kind": "unknown_field",
    }
    assert places(client.patch(f"{ROOT}/greeting", {"tags": ["a", "a"]})) == {"tags": "invalid"}


def test_archiving_hides_it_from_the_list_and_keeps_it_readable(api: Api, ben: User, greeting: Definition) -> None:
    client = api(ben)
    assert client.delete(f"{ROOT}/greeting").status_code == 204
    assert client.get(ROOT).json()["results"] == []
    assert [one["slug"] for one in client.get(f"{ROOT}?archived=true").json()["results"]] == ["greeting"]
    assert client.get(f"{ROOT}/greeting").json()["archived"] is True
    refused = client.post(f"{ROOT}/greeting/versions", {"config": prompt_config("x")})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "archived")


def test_what_uses_it_is_listed_and_keeps_it_from_being_archived(
    monkeypatch: pytest.MonkeyPatch, api: Api, ada: User, ben: User, greeting: Definition
) -> None:
    monkeypatch.setattr(uses, "_finders", uses._Finders())
    uses.register("definition", lambda pk, by: Found((Use("workflow", "nightly", "Nightly", "/w"),), 2))
    assert api(ben).get(f"{ROOT}/greeting/usage").json() == {
        "uses": [{"type": "workflow", "slug": "nightly", "name": "Nightly", "url": "/w"}],
        "hidden": 2,
    }
    refused = api(ben).delete(f"{ROOT}/greeting")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "in_use")
    assert api(ben).delete(f"{ROOT}/greeting?force=true").status_code == 403
    assert places(api(ada).delete(f"{ROOT}/greeting?force=maybe")) == {"force": "invalid"}
    assert api(ada).delete(f"{ROOT}/greeting?force").status_code == 204


def test_the_list_is_narrowed_and_ordered(api: Api, ben: User, greeting: Definition) -> None:
    services.create_definition(by=ben, slug="zebra", name="Zebra", kind="sql", tags=["animals", "words"])
    services.create_definition(by=ben, slug="ant", name="Ant", kind="script", description="says words")
    client = api(ben)

    def slugs(query: str) -> list[str]:
        return [one["slug"] for one in client.get(f"{ROOT}?{query}").json()["results"]]

    assert slugs("") == ["ant", "zebra", "greeting"]
    assert slugs("kind=sql") == ["zebra"]
    assert slugs("tag=words") == ["zebra", "greeting"]
    assert slugs("tag=word") == []
    assert slugs("search=ZEB") == ["zebra"]
    assert slugs("search=says") == ["ant"]
    assert slugs("ordering=name") == ["ant", "greeting", "zebra"]
    assert slugs("visibility=private") == []
    assert slugs("archived=false&kind=llm") == ["greeting"]
    for query in ("kind=spell", "ordering=size", "colour=red", "archived=perhaps", "page_size=0", "search=%00"):
        refused = client.get(f"{ROOT}?{query}")
        assert refused.status_code == 400
        assert list(places(refused)) == [query.split("=")[0]]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("patch", ""),
        ("delete", ""),
        ("get", "/versions"),
        ("post", "/versions"),
        ("get", "/versions/1"),
        ("get", "/diff?from=1&to=1"),
        ("post", "/rollback"),
        ("put", "/aliases/production"),
        ("delete", "/aliases/production"),
        ("get", "/aliases/production/moves"),
        ("get", "/usage"),
    ],
)
def test_a_stranger_gets_404_a_viewer_403_on_writes_and_anonymous_401(
    api: Api, ben: User, cyd: User, dov: User, greeting: Definition, method: str, path: str
) -> None:
    bodies: dict[str, Any] = {
        "patch": {"name": "x"},
        "post/versions": {"config": prompt_config()},
        "post/rollback": {"to": 1},
        "put/aliases/production": {"version": 1},
    }
    body = bodies.get(method + path)

    def status(user: User | None) -> int:
        return int(getattr(api(user), method)(f"{ROOT}/greeting{path}", body).status_code)

    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    assert status(None) == 401
    assert status(cyd) == (200 if method == "get" else 403)
    services.update_definition(by=ben, definition=greeting, visibility="private")
    assert status(dov) == 404
    assert status(cyd) == 404
    assert status(ben) < 300


def test_the_unknown_is_404_in_json(api: Api, ben: User, greeting: Definition) -> None:
    for path in ("nothing", "greeting/versions/7", "greeting/versions/99999999999999999999", "greeting/versions/x"):
        answer = api(ben).get(f"{ROOT}/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["", "/d0/versions", "/d0/aliases/production/moves"])
def test_lists_take_the_same_number_of_queries_for_one_row_as_for_ten(api: Api, ben: User, path: str) -> None:
    client = api(ben)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            rows = client.get(f"{ROOT}{path}").json()["results"]
        assert len(rows) == size
        return len(queries)

    def fill(start: int, stop: int) -> None:
        for number in range(start, stop):
            slug = f"d{number}"
            made = services.create_definition(by=ben, slug=slug, name=slug, kind="llm", config=prompt_config())
            services.move_alias(by=ben, definition=made, name="staging", number=1)
            first = Definition.objects.get(slug="d0")
            version, _ = services.save_version(by=ben, definition=first, config=prompt_config(f"x{number}"))
            services.move_alias(by=ben, definition=first, name="production", number=version.number)

    size = 2 if path == "/d0/versions" else 1
    fill(0, 1)
    one = count()
    size = 11 if path == "/d0/versions" else 10
    fill(1, 10)
    assert count() == one
    assert one <= 4


def test_every_kind_can_be_read_off_the_registry() -> None:
    for kind in kinds.all_kinds():
        assert kind.name in kinds.KINDS
        assert kind.label
        assert kind.description
        assert kind.queue
        assert kind.Config.model_json_schema()["additionalProperties"] is False
