"""The HTTP contract of connections."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from connections import services
from connections.models import Connection

Api = Callable[[User | None], APIClient]
BASE = "/api/v1/connections"
KEY = "sk-canary-1618033988749894"


def _errors(response: Any) -> list[tuple[str, str | None]]:
    return [(error["code"], error["attr"]) for error in response.json()["errors"]]


def _make(by: User, slug: str, **changes: Any) -> Connection:
    given = {"type": "openai", "config": {"api_key": KEY}, "visibility": "organisation", **changes}
    return services.create_connection(by=by, slug=slug, name=slug.title(), **given)


def test_types_tell_how_to_make_a_form(api: Api, cyd: User) -> None:
    found = {entry["name"]: entry for entry in api(cyd).get("/api/v1/connection-types").json()["results"]}

    assert list(found)[:3] == ["postgresql", "mysql", "sqlite"]
    assert found["postgresql"]["capabilities"] == ["query", "scan", "test"]
    assert found["postgresql"]["secret_fields"] == ["password"]
    assert found["postgresql"]["config_schema"]["properties"]["password"]["secret"] is True
    assert found["postgresql"]["installed"] is True
    assert found["secret"]["group"] == "secret"


def test_a_connection_is_made_shown_changed_and_archived(api: Api, ben: User) -> None:
    client = api(ben)

    made = client.post(BASE, {"slug": "model", "name": "Model", "type": "openai", "config": {"api_key": KEY}})

    assert made.status_code == 201
    assert made["Location"] == f"{BASE}/model"
    body = made.json()
    assert set(body) == {
        "id",
        "slug",
        "name",
        "description",
        "type",
        "config",
        "revision",
        "visibility",
        "owner",
        "last_test",
        "last_scan",
        "scan_every",
        "fingerprint",
        "archived",
        "created_at",
        "updated_at",
    }
    assert body["config"] == {"base_url": "https://api.openai.com/v1", "api_key": {"set": True}}
    assert body["owner"] == {"id": str(ben.uid), "full_name": "Ben"}
    assert (body["visibility"], body["revision"], body["archived"]) == ("private", 1, False)
    assert client.get(f"{BASE}/model").json() == body

    changed = client.patch(f"{BASE}/model", {"config": {"base_url": "https://example.org/v1"}, "name": "M"})
    assert changed.status_code == 200
    assert changed.json()["config"] == {"base_url": "https://example.org/v1", "api_key": {"set": True}}
    assert changed.json()["revision"] == 2

    assert client.delete(f"{BASE}/model").status_code == 204
    assert client.get(f"{BASE}/model").json()["archived"] is True
    assert client.get(BASE).json()["results"] == []
    assert [row["slug"] for row in client.get(f"{BASE}?archived=true").json()["results"]] == ["model"]
    again = client.patch(f"{BASE}/model", {"name": "x"})
    assert (again.status_code, _errors(again)) == (409, [("archived", None)])
    for answer in (made, changed, again):
        assert KEY not in answer.content.decode()


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {("required", "slug"), ("required", "name"), ("required", "type"), ("required", "config")}),
        (
            {"slug": "a", "name": "A", "type": "openai", "config": {"api_key": KEY}, "owner": 1},
            {("unknown_field", "owner")},
        ),
        ({"slug": "A b", "name": "A", "type": "openai", "config": {"api_key": KEY}}, {("invalid", "slug")}),
        ({"slug": "taken", "name": "A", "type": "openai", "config": {"api_key": KEY}}, {("unique", "slug")}),
        ({"slug": "a", "name": "A", "type": "nope", "config": {}}, {("invalid_choice", "type")}),
        (
            {"slug": "a", "name": "A", "type": "openai", "config": {"api_key": [KEY], "x": KEY}},
            {("invalid", "config.api_key"), ("unknown_field", "config.x")},
        ),
        ({"slug": "a", "name": "A", "type": "openai", "config": []}, {("not_object", "config")}),
        (
            {"slug": "a", "name": "A", "type": "openai", "config": {"api_key": KEY}, "visibility": "all"},
            {("invalid_choice", "visibility")},
        ),
        (
            {
                "slug": "a",
                "name": "A",
                "type": "postgresql",
                "config": {"host": "h", "database": "d", "user": "u", "tls": {"mode": "x"}},
            },
            {("invalid", "config.tls.mode")},
        ),
    ],
)
def test_bad_bodies_are_told_by_path(body: dict[str, Any], errors: set[Any], api: Api, ben: User) -> None:
    _make(ben, "taken")

    answer = api(ben).post(BASE, body)

    assert answer.status_code == 400
    assert set(_errors(answer)) == errors
    assert KEY not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ("colour=red", "colour"),
        ("type=nope", "type"),
        ("visibility=all", "visibility"),
        ("ordering=secrets", "ordering"),
        ("page_size=0", "page_size"),
        ("force=true", "force"),
        ("search=%00", "search"),
    ],
)
def test_bad_queries_are_told_by_name(query: str, attr: str, api: Api, ben: User) -> None:
    answer = api(ben).get(f"{BASE}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)


def test_the_list_is_filtered_searched_ordered_and_paged(api: Api, ben: User, dov: User) -> None:
    for slug in ("beta", "alpha", "gamma"):
        _make(ben, slug)
    _make(ben, "token", type="secret", config={"value": KEY})
    _make(dov, "hidden", visibility="private")
    client = api(ben)

    def slugs(query: str) -> list[str]:
        return [row["slug"] for row in client.get(f"{BASE}?{query}").json()["results"]]

    assert slugs("") == ["token", "gamma", "alpha", "beta"]
    assert slugs("ordering=name") == ["alpha", "beta", "gamma", "token"]
    assert slugs("ordering=-slug&type=openai") == ["gamma", "beta", "alpha"]
    assert slugs("search=MM") == ["gamma"]
    assert slugs("type=secret") == ["token"]
    page = client.get(f"{BASE}?page_size=3&ordering=slug").json()
    assert [row["slug"] for row in page["results"]] == ["alpha", "beta", "gamma"]
    assert page["previous"] is None
    assert [row["slug"] for row in client.get(page["next"]).json()["results"]] == ["token"]
    assert client.get(f"{BASE}?cursor=broken").status_code == 404


@pytest.mark.parametrize("count", [1, 10])
def test_the_list_takes_the_same_queries_however_long_it_is(
    count: int, api: Api, ben: User, shop: Path, django_assert_num_queries: Any
) -> None:
    for number in range(count):
        connection = _make(ben, f"c-{number}", type="sqlite", config={"path": str(shop)})
        services.scan_connection(by=ben, connection=connection)
        services.test_connection(by=ben, connection=connection)
    client = api(ben)

    # The caller, the caller's role, the page.
    with django_assert_num_queries(3):
        rows = client.get(BASE).json()["results"]

    assert len(rows) == count
    assert rows[0]["last_scan"]["snapshot"] == 1
    assert rows[0]["last_scan"]["tables_count"] == 3
    assert rows[0]["last_test"]["ok"] is True


ROUTES = [
    ("get", "/api/v1/connection-types", {}),
    ("get", BASE, {}),
    ("post", BASE, {"slug": "newest", "name": "N", "type": "secret", "config": {"value": "x"}}),
    ("get", f"{BASE}/shop", {}),
    ("patch", f"{BASE}/shop", {"name": "x"}),
    ("post", f"{BASE}/shop/test", {}),
    ("post", f"{BASE}/shop/scan", {}),
    ("post", f"{BASE}/shop/query", {"sql": "select 1"}),
    ("get", f"{BASE}/shop/schema", {}),
    ("get", f"{BASE}/shop/snapshots", {}),
    ("delete", f"{BASE}/shop", {}),
]
READS = (200, 200, 403, 200, 403, 403, 403, 403, 200, 200, 403)
STRANGER_PRIVATE = (200, 200, 201, 404, 404, 404, 404, 404, 404, 404, 404)
STRANGER_SHARED = (200, 200, 201, 200, 403, 200, 200, 200, 200, 200, 403)
OWNER = (200, 200, 201, 200, 200, 200, 200, 200, 200, 200, 204)


@pytest.mark.parametrize(
    ("who", "visibility", "expected"),
    [
        (None, "organisation", (401,) * 11),
        ("cyd", "organisation", READS),
        ("cyd", "private", (200, 200, 403, *(404,) * 8)),
        ("dov", "private", STRANGER_PRIVATE),
        ("dov", "organisation", STRANGER_SHARED),
        ("ben", "private", OWNER),
        ("ada", "private", OWNER),
    ],
)
def test_every_route_answers_each_person_as_the_contract_says(
    who: str | None,
    visibility: str,
    expected: tuple[int, ...],
    api: Api,
    shop_connection: Connection,
    ben: User,
    request: pytest.FixtureRequest,
) -> None:
    services.scan_connection(by=ben, connection=shop_connection)
    Connection.objects.filter(pk=shop_connection.pk).update(visibility=visibility)
    client = api(request.getfixturevalue(who) if who else None)

    found = tuple(getattr(client, method)(path, body or None).status_code for method, path, body in ROUTES)

    assert found == expected


def test_a_test_answers_with_phases_and_is_shown_on_the_connection(
    api: Api, ben: User, shop_connection: Connection, shop: Path
) -> None:
    client = api(ben)

    good = client.post(f"{BASE}/shop/test").json()
    shop.unlink()
    bad = client.post(f"{BASE}/shop/test")

    assert good["ok"] is True
    assert [set(phase) for phase in good["phases"]] == [{"name", "ok", "ms", "detail"}] * 2
    assert (bad.status_code, bad.json()["ok"]) == (200, False)
    assert client.get(f"{BASE}/shop").json()["last_test"]["ok"] is False


def test_a_scan_answers_201_for_a_new_schema_and_200_for_the_same(
    api: Api, ben: User, shop_connection: Connection
) -> None:
    client = api(ben)
    missing = client.get(f"{BASE}/shop/schema")

    first, second = client.post(f"{BASE}/shop/scan"), client.post(f"{BASE}/shop/scan")

    assert (missing.status_code, _errors(missing)) == (404, [("not_scanned", None)])
    assert (first.status_code, second.status_code) == (201, 200)
    assert first["Location"] == f"{BASE}/shop/schema"
    assert first.json() == second.json()
    assert set(first.json()) == {"id", "number", "fingerprint", "tables_count", "created_at", "created_by"}


def test_the_schema_can_be_searched(api: Api, ben: User, shop_connection: Connection) -> None:
    client = api(ben)
    client.post(f"{BASE}/shop/scan")

    whole = client.get(f"{BASE}/shop/schema").json()

    assert [table["name"] for table in whole["tables"]] == ["customer", "dear", "sale"]
    assert whole["tables"][0]["columns"][1] == {
        "name": "email",
        "type": "TEXT",
        "nullable": False,
        "default": None,
        "comment": None,
        "tags": ["email"],
    }

    def names(text: str) -> list[str]:
        return [table["name"] for table in client.get(f"{BASE}/shop/schema?search={text}").json()["tables"]]

    assert names("EMAIL") == ["customer"]
    assert names("sal") == ["sale"]
    assert names("price") == ["dear", "sale"]
    assert names("nothing") == []
    assert client.get(f"{BASE}/shop/schema?colour=red").status_code == 400


def test_snapshots_are_paged_newest_first_in_the_same_queries(
    api: Api, ben: User, shop_connection: Connection, shop: Path, django_assert_num_queries: Any
) -> None:
    client = api(ben)
    client.post(f"{BASE}/shop/scan")
    # The caller, the caller's role, the connection, the page.
    with django_assert_num_queries(4):
        assert len(client.get(f"{BASE}/shop/snapshots").json()["results"]) == 1
    with sqlite3.connect(shop) as conn:
        for number in range(9):
            conn.execute(f"create table t{number} (a)")
            conn.commit()
            client.post(f"{BASE}/shop/scan")
    conn.close()

    with django_assert_num_queries(4):
        rows = client.get(f"{BASE}/shop/snapshots").json()["results"]

    assert [row["number"] for row in rows] == list(range(10, 0, -1))
    assert "tables" not in rows[0]
    assert client.get(f"{BASE}/shop/snapshots?page_size=2").json()["next"]


def test_a_query_answers_with_rows(api: Api, ben: User, shop_connection: Connection) -> None:
    answer = api(ben).post(
        f"{BASE}/shop/query",
        {"sql": "select id, email from customer where id >= :least order by id", "params": {"least": 1}, "limit": 1},
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "columns": [{"name": "id", "type": "integer"}, {"name": "email", "type": "text"}],
        "rows": [[1, "a@example.org"]],
        "row_count": 1,
        "truncated": True,
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, ("required", "sql")),
        ({"sql": ""}, 400, ("blank", "sql")),
        ({"sql": "select 1; select 2"}, 400, ("not_one_statement", "sql")),
        ({"sql": "delete from customer"}, 400, ("not_read_only", "sql")),
        ({"sql": "select :a"}, 400, ("required", "params.a")),
        ({"sql": "select 1", "params": {"a": 1}}, 400, ("unknown_parameter", "params.a")),
        ({"sql": "select 1", "params": [1]}, 400, ("not_object", "params")),
        ({"sql": "select 1", "limit": 0}, 400, ("min_value", "limit")),
        ({"sql": "select 1", "limit": 10_001}, 400, ("max_value", "limit")),
        ({"sql": "select 1", "read_only": False}, 400, ("unknown_field", "read_only")),
        ({"sql": "select * from nothing"}, 422, ("connection_failed", None)),
    ],
)
def test_a_bad_query_is_told_by_path(
    body: dict[str, Any], status: int, error: Any, api: Api, ben: User, shop_connection: Connection
) -> None:
    answer = api(ben).post(f"{BASE}/shop/query", body)

    assert (answer.status_code, _errors(answer)) == (status, [error])


def test_what_a_type_can_t_do_is_409(api: Api, ben: User) -> None:
    _make(ben, "token", type="secret", config={"value": KEY})

    for verb in ("test", "scan"):
        answer = api(ben).post(f"{BASE}/token/{verb}")
        assert (answer.status_code, _errors(answer)) == (409, [("not_supported", None)])


def test_a_refused_address_is_422(api: Api, ben: User) -> None:
    _make(ben, "meta", type="postgresql", config={"host": "169.254.169.254", "database": "d", "user": "u"})

    answer = api(ben).post(f"{BASE}/meta/scan")

    assert (answer.status_code, _errors(answer)) == (422, [("egress_refused", None)])


def test_unknown_slugs_and_methods_are_answered_in_json(api: Api, ben: User) -> None:
    client = api(ben)

    assert _errors(client.get(f"{BASE}/nothing")) == [("not_found", None)]
    assert client.put(f"{BASE}/nothing", {}).status_code == 405
    assert client.delete(f"{BASE}/nothing?force=maybe").status_code == 400


def test_force_is_for_admins(api: Api, ben: User, ada: User, shop_connection: Connection) -> None:
    assert api(ben).delete(f"{BASE}/shop?force=true").status_code == 403
    assert api(ada).delete(f"{BASE}/shop?force=true").status_code == 204
