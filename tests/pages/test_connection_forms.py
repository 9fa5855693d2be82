"""Making and changing connections on pages, comparing snapshots, rows as CSV, and the history of queries."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.models import AuditEvent, User
from connections import connectors, services
from connections.models import Connection, PastQuery
from tests.pages.test_connections import text_of

Browser = Callable[[User | None], Client]
PASSWORD = "typed-in-secret-password"
SERVER = {
    "name": "Shop",
    "slug": "shop",
    "description": "",
    "visibility": "organisation",
    "config.host": "db.example.org",
    "config.port": "5432",
    "config.database": "shop",
    "config.user": "panel",
    "config.password": PASSWORD,
    "config.tls.mode": "verify-full",
    "config.tls.ca": "",
    "config.connect_timeout": "10",
    "config.statement_timeout": "0",
}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """A small SQLite file that may be opened."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as conn:
        conn.executescript(
            """
            create table customer (id integer primary key, email text not null unique);
            insert into customer (email) values ('a@example.org'), ('say "hi", =1+1'), (null || '');
            """.replace(", (null || '')", "")
        )
    conn.close()
    connectors.allow_files_under([tmp_path])
    yield path
    connectors.allow_files_under([django_settings.MCP_DATA_DIR, *map(Path, django_settings.SQLITE_ROOTS)])


def _shop(by: User, path: Path) -> Connection:
    return services.create_connection(
        by=by, slug="shop", name="Shop", type="sqlite", config={"path": str(path)}, visibility="organisation"
    )


def test_every_type_has_a_form_with_a_field_for_each_setting(browser: Browser, ben: User) -> None:
    client = browser(ben)
    types = text_of(client.get("/connections/new/"))

    for connector in connectors.all_connectors():
        assert f"/connections/new/{connector.name}/" in types
        page = text_of(client.get(f"/connections/new/{connector.name}/"))
        for name in connector.Config.model_fields:
            assert f'name="config.{name}' in page, (connector.name, name)
    assert client.get("/connections/new/abacus/").status_code == 404


def test_a_connection_is_made_with_its_secret_sealed(browser: Browser, ben: User) -> None:
    page = text_of(browser(ben).post("/connections/new/postgresql/", SERVER, follow=True))

    made = Connection.objects.get(slug="shop")
    assert (made.type, made.owner, made.visibility) == ("postgresql", ben, "organisation")
    assert made.config["tls"] == {"mode": "verify-full", "ca": ""}
    assert (made.config["host"], list(made.secrets)) == ("db.example.org", ["password"])
    assert "Connection shop is made." in page
    assert PASSWORD not in page


def test_a_refused_form_says_why_beside_its_fields_and_never_shows_the_secret(browser: Browser, ben: User) -> None:
    wrong = {
        **SERVER,
        "config.host": "a,b",
        "config.port": "99999",
        "config.tls.mode": "verify-ca",
        "slug": "Not A Slug",
    }
    first = text_of(browser(ben).post("/connections/new/postgresql/", wrong), 400)
    second = text_of(browser(ben).post("/connections/new/postgresql/", {**wrong, "config.port": "1", "slug": "x"}), 400)

    assert "less than or equal to 65535" in first
    assert "one host name or address" in second
    assert "verify-ca needs ca" in second
    for page in (first, second):
        assert PASSWORD not in page
        assert "a,b" in page
    assert not Connection.objects.exists()


def test_a_slug_that_a_page_has_is_refused(browser: Browser, ben: User) -> None:
    page = text_of(browser(ben).post("/connections/new/postgresql/", {**SERVER, "slug": "new"}), 400)

    assert "has this address" in page


def test_a_form_can_test_what_it_saves(browser: Browser, ben: User, file: Path) -> None:
    body = {"name": "F", "slug": "f", "visibility": "private", "config.path": str(file), "test": "1"}

    page = text_of(browser(ben).post("/connections/new/sqlite/", body, follow=True))

    assert '<ol class="c-phases">' in page
    assert Connection.objects.get(slug="f").last_test["ok"]


def test_an_edit_keeps_the_secret_unless_a_new_one_is_typed_or_it_is_forgotten(browser: Browser, ben: User) -> None:
    client = browser(ben)
    client.post("/connections/new/postgresql/", SERVER)
    before = Connection.objects.get(slug="shop")
    form = text_of(client.get("/connections/shop/edit/"))
    assert "db.example.org" in form
    assert PASSWORD not in form
    assert before.secrets["password"] not in form
    body = {**SERVER, "config.password": "", "config.port": "5433", "scan_every": "12"}
    del body["slug"]

    text_of(client.post("/connections/shop/edit/", body, follow=True))
    kept = Connection.objects.get(slug="shop")
    client.post("/connections/shop/edit/", {**body, "config.password": "another-password"})
    changed = Connection.objects.get(slug="shop")
    client.post("/connections/shop/edit/", {**body, "config.password.remove": "on"})
    gone = Connection.objects.get(slug="shop")

    assert (kept.secrets, kept.config["port"], kept.scan_every) == (before.secrets, 5433, 12)
    assert changed.secrets != before.secrets
    assert gone.secrets == {}


def test_a_reference_can_be_given_where_the_operator_allows_some(
    browser: Browser, ben: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(ben)
    assert "config.value.from" not in text_of(client.get("/connections/new/secret/"))
    settings.SECRET_REFERENCES = ["env:CONN_*"]
    monkeypatch.setenv("CONN_X", "outside-value")
    body = {"name": "T", "slug": "t", "visibility": "private", "config.value": "", "config.value.from": "env:CONN_X"}

    client.post("/connections/new/secret/", body)
    refused = text_of(
        client.post("/connections/new/secret/", {**body, "slug": "u", "config.value.from": "env:PATH"}), 400
    )

    assert Connection.objects.get(slug="t").references == {"value": "env:CONN_X"}
    assert "not among the references" in refused
    assert "env:CONN_X" in text_of(client.get("/connections/t/edit/"))


def test_who_may_not_make_or_change_is_told_so(browser: Browser, ben: User, cyd: User, dov: User) -> None:
    browser(ben).post("/connections/new/postgresql/", SERVER)

    assert "/connections/new/" not in text_of(browser(cyd).get("/connections/"))
    for client, path in (
        (browser(cyd), "new/"),
        (browser(cyd), "new/sqlite/"),
        (browser(cyd), "shop/edit/"),
        (browser(dov), "shop/edit/"),
    ):
        assert client.get(f"/connections/{path}").status_code == 403
        if path != "new/":
            assert client.post(f"/connections/{path}", SERVER).status_code == 403
    assert "does not allow that" in text_of(browser(dov).post("/connections/shop/archive/", follow=True))
    assert "archived" in text_of(browser(ben).post("/connections/shop/archive/", follow=True))
    assert browser(ben).get("/connections/shop/edit/").status_code == 403


def test_rows_are_taken_away_as_csv(browser: Browser, ben: User, cyd: User, file: Path) -> None:
    _shop(ben, file)
    body = {"sql": "select id, email, null as none from customer order by id", "limit": "1"}

    answer = browser(ben).post("/connections/shop/query/csv/", body)

    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "email", "none"],
        ["1", "a@example.org", ""],
        ["2", 'say "hi", =1+1', ""],
    ]
    assert AuditEvent.objects.filter(action="connection.query").count() == 1
    failed = text_of(browser(ben).post("/connections/shop/query/csv/", {"sql": "delete from x", "limit": "1"}), 400)
    assert "The query did not run." in failed
    assert browser(cyd).post("/connections/shop/query/csv/", body).status_code == 403


def test_each_person_finds_their_own_queries_again(browser: Browser, ben: User, dov: User, file: Path) -> None:
    _shop(ben, file)
    client = browser(ben)
    client.post("/connections/shop/query/", {"sql": "select 41 + 1 as answer", "limit": "10"})
    client.post("/connections/shop/query/", {"sql": "select * from nowhere", "limit": "10"})

    page = text_of(client.get("/connections/shop/"))
    failed, worked = PastQuery.objects.order_by("-id")
    again = text_of(client.get(f"/connections/shop/?again={worked.pk}"))

    assert "select 41 + 1 as answer" in page
    assert (worked.row_count, worked.error, failed.row_count) == (1, "", None)
    assert "nowhere" in failed.error
    assert ">\nselect 41 + 1 as answer</textarea>" in again
    assert "select 41" not in text_of(browser(dov).get(f"/connections/shop/?again={worked.pk}"))
    for odd in ("x", "-1", "9" * 40, "%00"):
        assert client.get(f"/connections/shop/?again={odd}").status_code == 200


def test_only_the_newest_queries_are_kept(ben: User, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = _shop(ben, file)
    monkeypatch.setattr("connections.services.use.MAX_PAST_QUERIES", 3)

    for number in range(5):
        services.run_query(by=ben, connection=shop, sql=f"select {number}")

    assert [one.sql for one in PastQuery.objects.order_by("id")] == ["select 2", "select 3", "select 4"]


def test_snapshots_are_compared_on_a_page(browser: Browser, ben: User, dov: User, file: Path) -> None:
    shop = _shop(ben, file)
    client = browser(ben)
    assert "has not been scanned" in text_of(client.get("/connections/shop/compare/"), 404)
    services.scan_connection(by=ben, connection=shop)
    with sqlite3.connect(file) as conn:
        conn.executescript('drop table customer; create table customer (id integer primary key, "<b>x" text)')
    conn.close()
    services.scan_connection(by=ben, connection=shop)

    page = text_of(client.get("/connections/shop/compare/"))

    assert "main.customer.email" in page
    assert "Column removed" in page
    assert "main.customer.&lt;b&gt;x" in page
    assert "No SQL that is in use reads what changed." in page
    assert "No difference" in text_of(client.get("/connections/shop/compare/?from=2&to=2"))
    assert text_of(client.get("/connections/shop/compare/?from=77"), 404)
    assert text_of(client.get("/connections/shop/compare/?from=x&to=%00"))
    assert "what changed" in text_of(client.get("/connections/shop/"))
    services.update_connection(by=ben, connection=shop, visibility="private")
    assert browser(dov).get("/connections/shop/compare/").status_code == 404


def test_the_index_names_every_table_for_the_browsers_own_search(
    browser: Browser, ben: User, dov: User, file: Path
) -> None:
    shop = _shop(ben, file)
    assert browser(ben).get("/connections/shop/schema.json").json() == {"tables": []}
    services.scan_connection(by=ben, connection=shop)

    answer = browser(ben).get("/connections/shop/schema.json")

    assert answer.json() == {"tables": [["main", "customer", None, "id email"]]}
    assert "private" in answer["Cache-Control"]
    services.update_connection(by=ben, connection=shop, visibility="private")
    assert browser(dov).get("/connections/shop/schema.json").status_code == 404
