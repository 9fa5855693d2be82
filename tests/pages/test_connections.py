"""The pages of connections: the list, the last test, the schema browser, and the query console."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, User
from connections import connectors, services
from connections.models import Connection

Browser = Callable[[User | None], Client]
EVIL = "<script>alert(1)</script>"
SECRET = "sealed-secret-value"


@pytest.fixture
def shop(ben: User, tmp_path: Path) -> Any:
    """A connection to a small SQLite file that everyone may see."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as file:
        file.executescript(
            """
            create table customer (id integer primary key, email text not null unique);
            create table sale (customer_id integer not null references customer, price real);
            create table "<script>" ("<b>" text);
            insert into customer (email) values ('a@example.org'), ('<script>alert(1)</script>');
            """
        )
    file.close()
    connectors.allow_files_under([tmp_path])
    yield services.create_connection(
        by=ben, slug="shop", name="Shop", type="sqlite", config={"path": str(path)}, visibility="organisation"
    )
    connectors.allow_files_under([django_settings.MCP_DATA_DIR, *map(Path, django_settings.SQLITE_ROOTS)])


def make(by: User, slug: str, **fields: Any) -> Connection:
    config = {"value": SECRET}
    return services.create_connection(by=by, slug=slug, name=slug, type="secret", config=config, **fields)


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.status_code
    return str(answer.content.decode())


def test_a_secret_is_said_to_be_set_and_never_shown(browser: Browser, ben: User) -> None:
    make(ben, "token", description=EVIL)

    page = text_of(browser(ben).get("/connections/token/"))

    assert "sealed</span>" in page
    assert SECRET not in page
    assert EVIL not in page
    assert "Nothing to browse" in page


def test_the_list_shows_tests_and_scans_and_can_be_narrowed(browser: Browser, ben: User, shop: Connection) -> None:
    make(ben, "token")
    client = browser(ben)
    services.test_connection(by=ben, connection=shop)
    services.scan_connection(by=ben, connection=shop)

    page = text_of(client.get("/connections/"))

    assert "Reachable" in page
    assert 'data-label="tables">3</td>' in page
    assert "/connections/token/" not in text_of(client.get("/connections/?type=sqlite"))
    assert "/connections/shop/" in text_of(client.get("/connections/?search=sho"))
    assert "Not understood:" in text_of(client.get("/connections/?type=abacus"))
    assert "<html" not in text_of(client.get("/connections/", headers={"HX-Request": "true"}))


def test_what_a_person_may_not_see_is_not_there(browser: Browser, ben: User, dov: User) -> None:
    make(ben, "token")
    client = browser(dov)

    assert "/connections/token/" not in text_of(client.get("/connections/"))
    for method, path in (("get", ""), ("post", "test/"), ("post", "scan/"), ("post", "query/")):
        assert getattr(client, method)(f"/connections/token/{path}").status_code == 404


def test_a_test_is_kept_and_shown_phase_by_phase(browser: Browser, ben: User, shop: Connection) -> None:
    client = browser(ben)
    assert "Nobody has tried it yet" in text_of(client.get("/connections/shop/"))

    page = text_of(client.post("/connections/shop/test/", follow=True))

    assert "SQLite" in page
    assert '<ol class="c-phases">' in page
    assert AuditEvent.objects.filter(action="connection.test").exists()


def test_a_scan_says_whether_the_schema_changed(browser: Browser, ben: User, shop: Connection) -> None:
    client = browser(ben)

    first = text_of(client.post("/connections/shop/scan/", follow=True))
    second = text_of(client.post("/connections/shop/scan/", follow=True))

    assert "Snapshot 1 is new." in first
    assert "Snapshot 1 is still true" in second


def test_the_schema_browser_searches_and_shows_keys(browser: Browser, ben: User, cyd: User, shop: Connection) -> None:
    services.scan_connection(by=ben, connection=shop)
    client = browser(cyd)

    page = text_of(client.get("/connections/shop/?table=main.sale"))
    part = text_of(client.get("/connections/shop/?search=email", headers={"HX-Request": "true"}))
    nothing = text_of(client.get("/connections/shop/?search=zzz"))

    assert "<h2>main.sale</h2>" in page
    assert "→ customer" in page
    assert '<script>"' not in page
    assert "&lt;b&gt;" in text_of(client.get("/connections/shop/?table=main.%3Cscript%3E"))
    assert "<html" not in part
    assert "<h2>main.customer</h2>" in part
    assert "main.sale" not in part
    assert "Nothing matches “zzz”." in nothing
    assert client.get("/connections/shop/?search=%00&table=%00").status_code == 200


def test_a_query_shows_its_rows_escaped_and_is_recorded(browser: Browser, ben: User, shop: Connection) -> None:
    sql = "select email, null as missing from customer order by id"

    page = text_of(browser(ben).post("/connections/shop/query/", {"sql": sql, "limit": "10"}))

    assert "a@example.org" in page
    assert EVIL not in page
    assert "2 of 2 rows" in page
    assert AuditEvent.objects.get(action="connection.query").changes["sql"] == sql


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"sql": "delete from customer", "limit": "10"}, 400, "The query did not run."),
        ({"sql": "select * from nowhere", "limit": "10"}, 422, "The query did not run."),
        ({"sql": "", "limit": "10"}, 400, "This field is required."),
        ({"sql": "select 1", "limit": "100000"}, 400, "less than or equal to 1000"),
        ({"sql": "select '\x00'", "limit": "1"}, 400, "Null characters are not allowed."),
        ({}, 400, "This field is required."),
    ],
)
def test_a_query_that_fails_says_why_beside_the_form(
    browser: Browser, ben: User, shop: Connection, body: dict[str, str], status: int, said: str
) -> None:
    client = browser(ben)

    whole = text_of(client.post("/connections/shop/query/", body), status)
    part = text_of(client.post("/connections/shop/query/", body, headers={"HX-Request": "true"}), status)

    assert said in whole
    assert said in part
    assert "<html" in whole
    assert "<html" not in part


def test_a_viewer_sees_no_buttons_and_may_not_press_them(browser: Browser, cyd: User, shop: Connection) -> None:
    client = browser(cyd)

    page = text_of(client.get("/connections/shop/"))

    for path in ("test", "scan", "query"):
        assert f"/connections/shop/{path}/" not in page
    assert "does not allow that" in text_of(client.post("/connections/shop/test/", follow=True))
    refused = client.post("/connections/shop/query/", {"sql": "select 1", "limit": "1"})
    assert "does not allow that" in text_of(refused, 403)
    assert not AuditEvent.objects.filter(action="connection.query").exists()


def test_an_archived_connection_can_be_looked_at_and_not_used(browser: Browser, ben: User, shop: Connection) -> None:
    services.archive_connection(by=ben, connection=shop)
    client = browser(ben)

    assert "/connections/shop/test/" not in text_of(client.get("/connections/shop/"))
    assert "archived" in text_of(client.post("/connections/shop/scan/", follow=True))


def test_the_list_costs_the_same_queries_for_one_and_for_ten(browser: Browser, ben: User) -> None:
    client = browser(ben)

    def cost() -> int:
        with CaptureQueriesContext(database) as queries:
            assert client.get("/connections/").status_code == 200
        return len(queries)

    make(ben, "token-0")
    client.get("/connections/")
    one = cost()
    for number in range(1, 10):
        make(ben, f"token-{number}")

    assert cost() == one


def test_a_schema_of_many_tables_is_cut_and_says_so(browser: Browser, ben: User, shop: Connection) -> None:
    columns = [{"name": "id", "type": "int", "nullable": False, "default": None, "comment": None}]
    shared = {"schema": "main", "kind": "table", "comment": None, "columns": columns, "rows": None}
    empty: dict[str, list[Any]] = {"primary_key": [], "foreign_keys": [], "indexes": []}
    tables = [{**shared, **empty, "name": f"t{number}"} for number in range(5000)]
    shop.snapshots.create(number=1, fingerprint="x", tables=tables, tables_count=5000)

    page = text_of(browser(ben).get("/connections/shop/"))

    assert "5000 found, the first are shown" in page
    assert len(page) < 400_000
