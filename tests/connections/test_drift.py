"""What changed between two snapshots, what SQL reads, and whom a change touches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from connections import connectors, services
from connections.connectors import reads_of
from connections.drift import compare
from connections.models import Connection
from connections.rules import tags_of
from definitions import services as definition_services
from mcp_site.core import clock
from mcp_site.core.errors import Rejected
from workflows.services import graphs, schedules


def _table(name: str = "customer", schema: str = "shop", **changes: Any) -> dict[str, Any]:
    column = {"name": "id", "type": "int", "nullable": False, "default": None, "comment": None}
    return {
        "schema": schema,
        "name": name,
        "kind": "table",
        "comment": None,
        "columns": [column, {**column, "name": "email", "type": "text", "nullable": True}],
        "primary_key": ["id"],
        "foreign_keys": [],
        "indexes": [{"name": "by_email", "columns": ["email"], "unique": False}],
        "rows": 5,
        **changes,
    }


def _columns(**changes: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the columns of the table with changes by name; None takes one away."""
    columns = [{**column, **(changes.get(column["name"]) or {})} for column in _table()["columns"]]
    return [column for column in columns if changes.get(column["name"], {}) is not None]


KEY = {"name": "fk", "columns": ["id"], "schema": "shop", "table": "x", "target_columns": ["id"]}


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        ([_table(rows=99)], []),
        ([], [("table_removed", "shop.customer")]),
        ([_table(), _table("sale")], [("table_added", "shop.sale")]),
        ([_table(schema="other")], [("table_added", "other.customer"), ("table_removed", "shop.customer")]),
        ([_table(kind="view")], [("kind_changed", "shop.customer")]),
        ([_table(columns=_columns(email=None))], [("column_removed", "shop.customer.email")]),
        (
            [_table(columns=[*_columns(), {**_columns()[0], "name": "age"}])],
            [("column_added", "shop.customer.age")],
        ),
        ([_table(columns=_columns(email={"type": "varchar"}))], [("type_changed", "shop.customer.email")]),
        ([_table(columns=_columns(email={"nullable": False}))], [("nullability_changed", "shop.customer.email")]),
        ([_table(columns=_columns(email={"default": "'x'"}))], [("default_changed", "shop.customer.email")]),
        ([_table(columns=_columns(email={"comment": "new"}))], [("comment_changed", "shop.customer.email")]),
        ([_table(columns=_columns()[::-1])], []),
        ([_table(primary_key=["email"])], [("primary_key_changed", "shop.customer")]),
        ([_table(foreign_keys=[KEY])], [("foreign_key_added", "shop.customer.fk")]),
        ([_table(foreign_keys=[{**KEY, "name": None}])], [("foreign_key_added", "shop.customer.(id)")]),
        ([_table(indexes=[])], [("index_removed", "shop.customer.by_email")]),
        (
            [_table(indexes=[{"name": "by_email", "columns": ["email"], "unique": True}])],
            [("index_changed", "shop.customer.by_email")],
        ),
    ],
)
def test_every_difference_is_named(after: list[dict[str, Any]], kinds: list[tuple[str, str]]) -> None:
    assert [(change.kind, change.place) for change in compare([_table()], after)] == kinds


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select email from shop.customer", {("shop", "customer"): ("email",)}),
        ("SELECT C.Email FROM Customer C", {("", "customer"): ("email",)}),
        ("select * from a", {("", "a"): ("*",)}),
        ("select a.*, b.c from a join b using (id)", {("", "a"): ("*", "id"), ("", "b"): ("c", "id")}),
        ("select count(*) from a", {("", "a"): ()}),
        ("select x from a, b", {("", "a"): ("x",), ("", "b"): ("x",)}),
        ("with w as (select id, n from t) select w.n, b.y from w, b", {("", "b"): ("y",), ("", "t"): ("id", "n")}),
        (
            "select x from a where exists (select 1 from b where b.id = a.q)",
            {("", "a"): ("q", "x"), ("", "b"): ("id",)},
        ),
        ("select n from (select y as n from u) q order by n", {("", "u"): ("y",)}),
        ("select a from t where b = :from union select c from v", {("", "t"): ("a", "b"), ("", "v"): ("c",)}),
        ("insert into t select a from b", {("", "b"): ("a",), ("", "t"): ("a",)}),
        ("select 1", {}),
        ("not sql at all (", {}),
    ],
)
def test_what_sql_reads_is_found(sql: str, reads: dict[tuple[str, str], tuple[str, ...]]) -> None:
    assert {(read.schema, read.table): read.columns for read in reads_of("postgresql", sql)} == reads


def test_what_is_asked_in_no_sql_reads_nothing_that_is_known() -> None:
    assert reads_of("redis", "HGETALL user:1") == ()
    assert reads_of("gone", "select 1 from a") == ()


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("userEmail", ["email"]),
        ("password_hash", ["secret"]),
        ("API-Key", ["secret"]),
        ("first_name", ["person"]),
        ("card_number", ["card"]),
        ("phone", ["phone"]),
        ("zip", ["address"]),
        ("client_ip", ["network"]),
        ("ssn", ["identity"]),
        *((name, []) for name in ("id", "name", "shipping", "company", "span", "description", "emails_sent_total_")),
    ],
)
def test_columns_that_look_personal_or_secret_are_tagged_by_whole_words(name: str, tags: list[str]) -> None:
    assert tags_of(name) == tags


pytestmark = pytest.mark.django_db


def _sql(by: User, slug: str, sql: str, connection: str = "shop", visibility: str = "organisation") -> Any:
    return definition_services.create_definition(
        by=by,
        slug=slug,
        name=slug.title(),
        kind="sql",
        config={"connection": connection, "sql": sql},
        visibility=visibility,
    )


def _alter(shop: Path, sql: str) -> None:
    conn = sqlite3.connect(shop)
    conn.executescript(sql)
    conn.close()


def test_dropping_a_column_names_the_two_definitions_that_use_it(
    ben: User, cyd: User, shop: Path, shop_connection: Connection, api: Callable[..., APIClient]
) -> None:
    services.scan_connection(by=ben, connection=shop_connection)
    _sql(ben, "mails", "select email from customer")
    _sql(ben, "joined", "select c.id, c.email from main.customer c join sale s on s.customer_id = c.id")
    _sql(ben, "others", "select price from sale")
    _sql(ben, "hidden", "select * from customer", visibility="private")
    _alter(
        shop,
        "create table c2 (id integer primary key, joined text default 'today'); drop table customer;"
        "alter table c2 rename to customer;",
    )
    services.scan_connection(by=ben, connection=shop_connection)

    mine = api(ben).get("/api/v1/connections/shop/impact").json()
    theirs = api(cyd).get("/api/v1/connections/shop/impact?from=1&to=2").json()

    assert (mine["from"], mine["to"]) == (1, 2)
    assert ("column_removed", "email", True) in [(c["kind"], c["name"], c["breaking"]) for c in mine["changes"]]
    assert {(one["type"], one["slug"]) for one in mine["affected"]} == {
        ("definition", "mails"),
        ("definition", "joined"),
        ("definition", "hidden"),
    }
    assert "main.customer.email, which is gone" in mine["affected"][0]["because"]
    assert {one["slug"] for one in theirs["affected"]} == {"mails", "joined"}
    assert (mine["hidden"], theirs["hidden"]) == (0, 1)


def test_steps_that_name_the_connection_and_the_schedules_that_start_them_are_named_too(
    ben: User, cyd: User, shop: Path, shop_connection: Connection, api: Callable[..., APIClient]
) -> None:
    services.scan_connection(by=ben, connection=shop_connection)
    _sql(ben, "anywhere", "select email from customer", connection="")
    _sql(ben, "elsewhere", "select price from sale")
    graph = {
        "steps": [
            {"key": "load", "definition": "anywhere", "connection": "shop"},
            {"key": "other", "definition": "elsewhere"},
        ]
    }
    flow = graphs.create_workflow(by=ben, slug="nightly", name="Nightly", graph=graph, visibility="private")
    schedules.create_schedule(by=ben, workflow=flow, cron="0 3 * * *")
    _alter(shop, "drop view dear; drop table sale; drop table customer;")
    services.scan_connection(by=ben, connection=shop_connection)

    mine = api(ben).get("/api/v1/connections/shop/impact").json()
    theirs = api(cyd).get("/api/v1/connections/shop/impact").json()

    found = {one["type"]: one for one in mine["affected"]}
    assert set(found) == {"definition", "workflow", "schedule"}
    assert found["definition"]["slug"] == "elsewhere"
    assert "step load reads main.customer, which is gone" in found["workflow"]["because"]
    assert "step other reads main.sale, which is gone" in found["workflow"]["because"]
    assert {one["type"] for one in theirs["affected"]} == {"definition"}
    assert theirs["hidden"] > 0


def test_drift_is_asked_for_by_numbers(
    ben: User, dov: User, shop: Path, shop_connection: Connection, api: Callable[..., APIClient]
) -> None:
    url = "/api/v1/connections/shop/drift"
    assert api(ben).get(url).json()["errors"][0]["code"] == "not_scanned"
    services.scan_connection(by=ben, connection=shop_connection)
    assert api(ben).get(url).json() == {"from": 1, "to": 1, "changes": []}
    _alter(shop, "create table more (id int)")
    services.scan_connection(by=ben, connection=shop_connection)

    forward, back = api(ben).get(url).json(), api(ben).get(f"{url}?from=2&to=1").json()

    assert [(c["kind"], c["table"], c["after"]) for c in forward["changes"]] == [("table_added", "more", "table")]
    assert [c["kind"] for c in back["changes"]] == ["table_removed"]
    assert api(ben).get(f"{url}?from=9").status_code == 404
    for wrong in ("from=x", "to=0", "to=-1", "form=1"):
        assert api(ben).get(f"{url}?{wrong}").status_code == 400
    services.update_connection(by=ben, connection=shop_connection, visibility="private")
    assert api(dov).get(url).status_code == 404


def test_the_schema_tags_its_columns(ben: User, shop_connection: Connection, api: Callable[..., APIClient]) -> None:
    services.scan_connection(by=ben, connection=shop_connection)

    tables = api(ben).get("/api/v1/connections/shop/schema").json()["tables"]

    tags = {column["name"]: column["tags"] for table in tables for column in table["columns"]}
    assert (tags["email"], tags["price"]) == (["email"], [])


def test_the_clock_scans_what_is_due_and_keeps_why_it_failed(
    ben: User, shop: Path, shop_connection: Connection
) -> None:
    assert services.scan_due() is None
    services.update_connection(by=ben, connection=shop_connection, scan_every=2)

    assert services.scan_due() == 0.0
    assert services.scan_due() is None
    row = Connection.objects.get(pk=shop_connection.pk)
    assert row.snapshots.count() == 1
    assert row.scan_due_at is not None
    assert 1.9 < (row.scan_due_at - clock.now()).total_seconds() / 3600 <= 2
    shop.unlink()
    Connection.objects.filter(pk=row.pk).update(scan_due_at=clock.now())
    assert services.scan_due() == 0.0
    assert "not a file" in Connection.objects.get(pk=row.pk).scan_error
    services.update_connection(by=ben, connection=shop_connection, scan_every=0)
    assert Connection.objects.get(pk=row.pk).scan_due_at is None


def test_what_has_no_schema_has_no_clock(ben: User) -> None:
    secret = services.create_connection(by=ben, slug="s", name="S", type="secret", config={"value": "some value"})

    for hours in (1, -1, 100_000):
        with pytest.raises(Rejected) as caught:
            services.update_connection(by=ben, connection=secret, scan_every=hours)
        assert caught.value.attr == "scan_every"
    assert "scan" not in connectors.get("secret").capabilities
