"""What people do with connections: rights, sealing, revisions, audit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import DatabaseError, transaction
from django.db import connection as database

from accounts.models import AuditEvent, User
from connections import credentials, services
from connections.connectors import ConnectorFailed, NotSupported
from connections.models import Connection, SchemaSnapshot
from connections.signals import schema_changed
from mcp_site.core import uses
from mcp_site.core.errors import Forbidden, Rejected
from mcp_site.core.sealing import SealBroken

PASSWORD = "canary-p4ssword-2718281828"
SERVER = {"host": "db.example.org", "database": "shop", "user": "panel", "password": PASSWORD}


@pytest.fixture
def server(ben: User) -> Connection:
    return services.create_connection(by=ben, slug="server", name="Server", type="postgresql", config=SERVER)


def _opened(connection: Connection) -> dict[str, Any]:
    return credentials.open_for_attempt([connection.slug], purpose="test")[connection.slug].config


def _raw() -> str:
    with database.cursor() as cursor:
        cursor.execute("select to_jsonb(c)::text from connections_connections c")
        rows = "".join(row[0] for row in cursor.fetchall())
        cursor.execute("select to_jsonb(a)::text from accounts_audit_events a")
        return rows + "".join(row[0] for row in cursor.fetchall())


def test_a_secret_is_sealed_at_rest_and_opens_again(server: Connection) -> None:
    assert PASSWORD not in _raw()
    assert server.secrets["password"].startswith("v2:")
    assert server.config == {
        "host": "db.example.org",
        "port": 5432,
        "database": "shop",
        "user": "panel",
        "tls": {"mode": "prefer", "ca": ""},
        "connect_timeout": 10,
        "statement_timeout": 0,
    }
    assert server.shown_config["password"] == {"set": True}
    assert _opened(server)["password"] == PASSWORD


def test_a_sealed_secret_moved_to_another_row_does_not_open(server: Connection, ben: User) -> None:
    other = services.create_connection(by=ben, slug="other", name="Other", type="postgresql", config=SERVER)
    Connection.objects.filter(pk=other.pk).update(secrets=server.secrets)

    with pytest.raises(SealBroken):
        _opened(other)


def test_a_sealed_secret_moved_to_another_field_does_not_open(server: Connection) -> None:
    Connection.objects.filter(pk=server.pk).update(secrets={"user": server.secrets["password"]})

    with pytest.raises(SealBroken):
        _opened(server)


def test_old_keys_open_and_lost_keys_say_so(server: Connection, settings: Any) -> None:
    old, new = settings.MCP_SECRET_KEYS, Fernet.generate_key().decode()

    settings.MCP_SECRET_KEYS = [new, *old]
    assert _opened(server)["password"] == PASSWORD

    settings.MCP_SECRET_KEYS = [new]
    with pytest.raises(SealBroken):
        _opened(server)


def test_a_lost_secret_can_be_given_anew(server: Connection, ben: User, settings: Any) -> None:
    settings.MCP_SECRET_KEYS = [Fernet.generate_key().decode()]

    services.update_connection(by=ben, connection=server, config={"password": "another-secret"})

    assert _opened(server)["password"] == "another-secret"


def test_opening_is_one_query_audited_once_each_and_shows_nothing(
    server: Connection, shop_connection: Connection, ben: User, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        opened = credentials.open_for_attempt(["server", "shop", "server"], purpose="run #12 step extract", by=ben)

    assert list(opened) == ["server", "shop"]
    assert PASSWORD not in repr(opened)
    assert opened["server"].secrets == (PASSWORD,)
    event = AuditEvent.objects.get(action="secret.use")
    assert event.object_name == "server"
    assert event.changes == {"fields": ["password"], "purpose": "run #12 step extract"}


def test_unknown_and_archived_connections_are_missing(server: Connection, ben: User) -> None:
    services.archive_connection(by=ben, connection=server)

    with pytest.raises(credentials.ConnectionMissing, match="nothing, server") as caught:
        credentials.open_for_attempt(["nothing", "server"], purpose="x")

    assert (caught.value.code, caught.value.status) == ("connection_missing", 404)
    assert credentials.open_for_attempt([], purpose="x") == {}


def test_a_left_out_secret_stays_and_null_takes_it_away(server: Connection, ben: User) -> None:
    sealed = server.secrets["password"]

    kept = services.update_connection(by=ben, connection=server, config={"port": 5433, "tls": {"mode": "require"}})
    assert (kept.revision, kept.secrets["password"]) == (2, sealed)
    assert kept.config["tls"] == {"mode": "require", "ca": ""}

    shown = services.update_connection(by=ben, connection=server, config=kept.shown_config)
    assert (shown.revision, shown.secrets["password"]) == (2, sealed)

    removed = services.update_connection(by=ben, connection=server, config={"password": None})
    assert (removed.revision, removed.secrets) == (3, {})
    assert removed.shown_config["password"] == {"set": False}

    again = services.update_connection(by=ben, connection=server, config={"password": PASSWORD})
    assert again.revision == 4
    assert _opened(again)["password"] == PASSWORD


def test_a_name_alone_raises_no_revision_and_no_change_no_audit(server: Connection, ben: User) -> None:
    before = AuditEvent.objects.count()

    assert services.update_connection(by=ben, connection=server, name="New", description="", config={}).revision == 1
    assert services.update_connection(by=ben, connection=server, name="New").name == "New"

    assert AuditEvent.objects.count() == before + 1
    assert AuditEvent.objects.first().changes == {"name": ["Server", "New"]}  # type: ignore[union-attr]


def test_a_change_of_config_forgets_the_last_test(shop_connection: Connection, ben: User, files: Path) -> None:
    services.test_connection(by=ben, connection=shop_connection)
    shop_connection.refresh_from_db()
    assert shop_connection.last_test["ok"] is True

    changed = services.update_connection(by=ben, connection=shop_connection, config={"path": str(files / "other.db")})

    assert (changed.last_test, changed.last_test_at) == (None, None)


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        ({}, {"config.host": "required", "config.database": "required", "config.user": "required"}),
        ({**SERVER, "port": "many"}, {"config.port": "invalid"}),
        ({**SERVER, "tls": {"mode": "secret-mode"}}, {"config.tls.mode": "invalid"}),
        ({**SERVER, "tls": {"mode": "verify-ca"}}, {"config.tls": "invalid"}),
        ({**SERVER, "pasword": PASSWORD}, {"config.pasword": "unknown_field"}),
        ({**SERVER, "password": {"value": PASSWORD}}, {"config.password": "invalid"}),
        ({**SERVER, "password": PASSWORD * 100}, {"config.password": "invalid"}),
    ],
)
def test_a_wrong_config_is_told_by_path_and_never_by_value(
    config: dict[str, Any], paths: dict[str, str], ben: User
) -> None:
    with pytest.raises(Rejected) as caught:
        services.create_connection(by=ben, slug="x", name="X", type="postgresql", config=config)

    assert {problem.path: problem.code for problem in caught.value.problems} == paths
    assert PASSWORD not in str(caught.value.problems)
    assert "secret-mode" not in str(caught.value.problems)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"slug": "Bad Slug"}, "slug"),
        ({"slug": "-"}, "slug"),
        ({"slug": "a@1"}, "slug"),
        ({"slug": "server"}, "slug"),
        ({"type": "oracle9"}, "type"),
        ({"visibility": "world"}, "visibility"),
        ({"name": " "}, "name"),
    ],
)
def test_a_wrong_field_is_told_by_its_name(changes: dict[str, Any], path: str, server: Connection, ben: User) -> None:
    given: dict[str, Any] = {"slug": "x", "name": "X", "type": "postgresql", "config": SERVER, **changes}

    with pytest.raises(Rejected) as caught:
        services.create_connection(by=ben, **given)

    assert caught.value.attr == path


def test_a_connection_is_private_unless_said_otherwise(server: Connection, ben: User, dov: User, ada: User) -> None:
    assert server.visibility == "private"
    assert Connection.objects.visible_to(ben).count() == 1
    assert Connection.objects.visible_to(ada).count() == 1
    assert Connection.objects.visible_to(dov).count() == 0


ACTS: dict[str, Callable[..., Any]] = {
    "create": lambda by, connection: services.create_connection(
        by=by, slug="newest", name="New", type="secret", config={"value": "x"}
    ),
    "update": lambda by, connection: services.update_connection(by=by, connection=connection, name="New"),
    "archive": lambda by, connection: services.archive_connection(by=by, connection=connection),
    "test": lambda by, connection: services.test_connection(by=by, connection=connection),
    "scan": lambda by, connection: services.scan_connection(by=by, connection=connection),
    "query": lambda by, connection: services.run_query(by=by, connection=connection, sql="select 1"),
}


@pytest.mark.parametrize("visibility", ["private", "organisation"])
@pytest.mark.parametrize("who", ["ada", "ben", "cyd", "dov"])
@pytest.mark.parametrize("act", ACTS)
def test_who_may_do_what(
    act: str, who: str, visibility: str, shop_connection: Connection, request: pytest.FixtureRequest
) -> None:
    Connection.objects.filter(pk=shop_connection.pk).update(visibility=visibility)
    shop_connection.refresh_from_db()
    person = request.getfixturevalue(who)
    may = {"ada": True, "ben": True, "cyd": False, "dov": False}[who]
    if who == "dov":
        # A stranger who edits: makes own ones, uses what the organisation shares, changes nothing of others.
        may = act == "create" or (visibility == "organisation" and act in ("test", "scan", "query"))

    if may:
        ACTS[act](person, shop_connection)
    else:
        before = AuditEvent.objects.count()
        with pytest.raises(Forbidden):
            ACTS[act](person, shop_connection)
        assert AuditEvent.objects.count() == before


def test_a_person_who_was_switched_off_may_nothing(shop_connection: Connection, ben: User) -> None:
    ben.is_active = False

    for act in ACTS.values():
        with pytest.raises(Forbidden):
            act(ben, shop_connection)


def test_an_archived_connection_is_looked_at_not_used(shop_connection: Connection, ben: User) -> None:
    services.archive_connection(by=ben, connection=shop_connection)
    services.archive_connection(by=ben, connection=shop_connection)
    shop_connection.refresh_from_db()

    for act in ("update", "test", "scan", "query"):
        with pytest.raises(services.Archived):
            ACTS[act](ben, shop_connection)
    assert AuditEvent.objects.filter(action="connection.archive").count() == 1


@pytest.fixture
def used() -> Iterator[None]:
    """Someone uses every connection: one thing that all may see, two that nobody may."""
    found = uses.Found((uses.Use("definition", "report", "Report", "/definitions/report/"),), 2)
    finder = lambda pk, by: found  # noqa: E731
    uses.register("connection", finder)
    yield
    uses._finders.by_type["connection"].remove(finder)


def test_a_used_connection_is_archived_by_an_admin_only_and_by_force(
    used: None, shop_connection: Connection, ben: User, ada: User
) -> None:
    with pytest.raises(uses.InUse, match=r"Used by definition report and 2 more\."):
        services.archive_connection(by=ben, connection=shop_connection)
    with pytest.raises(Forbidden):
        services.archive_connection(by=ben, connection=shop_connection, force=True)
    with pytest.raises(uses.InUse):
        services.archive_connection(by=ada, connection=shop_connection)

    services.archive_connection(by=ada, connection=shop_connection, force=True)

    shop_connection.refresh_from_db()
    assert shop_connection.is_archived


def test_a_test_is_kept_with_secrets_masked(ben: User) -> None:
    connection = services.create_connection(
        by=ben,
        slug="model",
        name="Model",
        type="openai",
        config={"api_key": PASSWORD, "base_url": f"https://{PASSWORD}.invalid/v1"},
    )

    result = services.test_connection(by=ben, connection=connection)

    connection.refresh_from_db()
    assert not result.ok
    assert connection.last_test["ok"] is False
    assert PASSWORD not in json.dumps(connection.last_test)


def test_a_test_is_of_the_row_as_it_is_now_not_as_the_caller_holds_it(shop_connection: Connection, ben: User) -> None:
    Connection.objects.filter(pk=shop_connection.pk).update(revision=7)

    services.test_connection(by=ben, connection=shop_connection)

    shop_connection.refresh_from_db()
    assert shop_connection.last_test["ok"] is True
    assert AuditEvent.objects.get(action="connection.test").changes == {"ok": True, "revision": 7}


def test_a_scan_makes_a_snapshot_only_when_the_schema_changed(
    shop_connection: Connection, shop: Path, ben: User, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[dict[str, Any]] = []
    receiver = lambda **given: heard.append(given)  # noqa: E731
    schema_changed.connect(receiver)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            first = services.scan_connection(by=ben, connection=shop_connection)
            conn = sqlite3.connect(shop)
            conn.executescript("insert into customer (email) values ('c'); analyze;")
            same = services.scan_connection(by=ben, connection=shop_connection)
            conn.executescript("alter table customer add phone text")
            conn.close()
            second = services.scan_connection(by=ben, connection=shop_connection)
    finally:
        schema_changed.disconnect(receiver)

    assert (first.is_new, same.is_new, second.is_new) == (True, False, True)
    assert (first.number, same.pk, second.number) == (1, first.pk, 2)
    assert first.created_by == ben
    assert first.tables_count == 3
    assert [(event["connection_id"], event["before"], event["after"]) for event in heard] == [
        (shop_connection.pk, 1, 2)
    ]
    shop_connection.refresh_from_db()
    assert shop_connection.fingerprint == second.fingerprint
    assert shop_connection.last_scan_at is not None


def test_a_snapshot_is_never_changed_or_removed(shop_connection: Connection, ben: User) -> None:
    snapshot = services.scan_connection(by=ben, connection=shop_connection)

    for act in (
        lambda: SchemaSnapshot.objects.filter(pk=snapshot.pk).update(number=9),
        lambda: SchemaSnapshot.objects.filter(pk=snapshot.pk).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()


def test_a_query_is_audited_with_its_text_and_without_its_values(shop_connection: Connection, ben: User) -> None:
    result = services.run_query(
        by=ben, connection=shop_connection, sql="select email from customer where id = :id", params={"id": 1}, limit=5
    )

    assert [list(row) for row in result.rows] == [["a@example.org"]]
    event = AuditEvent.objects.get(action="connection.query")
    assert event.changes == {"sql": "select email from customer where id = :id", "params": ["id"], "limit": 5}


def test_a_query_that_fails_is_audited_too(shop_connection: Connection, ben: User) -> None:
    with pytest.raises(ConnectorFailed):
        services.run_query(by=ben, connection=shop_connection, sql="select * from nothing")

    assert AuditEvent.objects.filter(action="connection.query").count() == 1


def test_what_a_type_can_t_do_is_said(ben: User) -> None:
    secret = services.create_connection(by=ben, slug="s", name="S", type="secret", config={"value": "x"})

    for act in ("test", "scan", "query"):
        with pytest.raises(NotSupported, match=f"secret can't {act}"):
            ACTS[act](ben, secret)


def test_a_type_that_is_not_installed_any_more_is_a_conflict(shop_connection: Connection, ben: User) -> None:
    Connection.objects.filter(pk=shop_connection.pk).update(type="gone", secrets={"password": "v1:x"})
    shop_connection.refresh_from_db()

    with pytest.raises(services.DriverMissing):
        services.test_connection(by=ben, connection=shop_connection)
    assert shop_connection.shown_config["password"] == {"set": True}


def test_postgresql_goes_the_same_way(reader: dict[str, Any], ben: User) -> None:
    connection = services.create_connection(by=ben, slug="pg", name="PG", type="postgresql", config=reader)

    assert services.test_connection(by=ben, connection=connection).ok
    snapshot = services.scan_connection(by=ben, connection=connection)
    result = services.run_query(by=ben, connection=connection, sql="select count(*) from note")

    assert snapshot.is_new
    assert snapshot.tables_count == 5
    assert result.rows[0][0] == 50
    assert AuditEvent.objects.filter(action="secret.use").count() == 3
    assert reader["password"] not in _raw()
