"""The PostgreSQL connector against a real server, through a relay at another address."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connections import connectors
from connections.connectors import ConnectorFailed, Query, statements
from connections.connectors.postgresql import PostgreSQL, PostgreSQLConfig
from mcp_site.core.errors import Rejected
from tests.connections.servers import Relay, certificate, free_port, password_postgresql
from tests.connections.test_statements import WRITES

POSTGRES = connectors.get("postgresql")


def _config(values: dict[str, Any], **changes: Any) -> Any:
    return connectors.read_config(POSTGRES, {**values, **changes})


def _query(values: dict[str, Any], sql: str, **options: Any) -> connectors.Result:
    return POSTGRES.query(_config(values), Query(sql=sql, **options))


def _notes(outside: dict[str, Any]) -> int:
    login = {name: outside[name] for name in ("host", "port", "user", "password")}
    with psycopg.connect(**login, dbname=outside["database"]) as conn:
        row = conn.execute("select count(*) from note").fetchone()
        assert row is not None
        return int(row[0])


def test_a_good_test_passes_every_phase(reader: dict[str, Any]) -> None:
    result = POSTGRES.test(_config(reader))

    assert result.ok
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "tls", "authenticate", "query"]
    assert all(phase.ms >= 0 for phase in result.phases)
    assert result.server_version.startswith("PostgreSQL ")
    assert result.warnings == ()


def test_a_login_that_can_write_is_warned_about(outside: dict[str, Any]) -> None:
    assert "can write" in POSTGRES.test(_config(outside)).warnings[0]
    assert "can write" in _query(outside, "select 1").warnings[0]


def test_the_panels_own_database_is_refused_at_the_first_phase(outside: dict[str, Any], settings: Any) -> None:
    settings.MCP_OWN_ADDRESS = f"127.0.0.1:{outside['port']}"

    result = POSTGRES.test(_config(outside))

    assert [(phase.name, phase.ok) for phase in result.phases] == [("resolve", False)]
    with pytest.raises(ConnectorFailed) as caught:
        POSTGRES.scan(_config(outside))
    assert (caught.value.code, caught.value.status) == ("egress_refused", 422)


def test_each_fault_stops_at_its_phase_with_advice(reader: dict[str, Any]) -> None:
    unknown = POSTGRES.test(_config(reader, host="no-such-host.invalid")).phases[-1]
    closed = POSTGRES.test(_config(reader, port=free_port())).phases[-1]
    no_tls = POSTGRES.test(_config(reader, tls={"mode": "require"}))
    no_database = POSTGRES.test(_config(reader, database="nowhere")).phases[-1]

    assert (unknown.name, unknown.ok) == ("resolve", False)
    assert (closed.name, closed.ok) == ("connect", False)
    assert "Nothing listens" in closed.detail
    assert (no_database.name, no_database.ok) == ("authenticate", False)
    assert "nowhere" in no_database.detail
    if not no_tls.ok:
        assert no_tls.phases[-1].name == "tls"


def test_a_server_that_speaks_something_else_says_so(reader: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            found, _ = listener.accept()
            with found:
                found.sendall(b"HTTP/1.1 400\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        result = POSTGRES.test(_config(reader, port=listener.getsockname()[1]))
        thread.join()

    assert (result.phases[-1].name, result.phases[-1].ok) == ("tls", False)


def test_the_database_name_can_t_smuggle_other_settings(reader: dict[str, Any]) -> None:
    smuggled = _config(reader, database="host=169.254.169.254 port=1")

    phase = POSTGRES.test(smuggled).phases[-1]

    assert phase.name == "authenticate"
    assert "does not exist" in phase.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "/var/run/postgresql"},
        {"host": "a,b"},
        {"host": ""},
        {"port": 0},
        {"port": 70000},
        {"tls": {"mode": "no"}},
        {"tls": {"mode": "verify-ca"}},
        {"service": "x"},
        {"options": "-c x=y"},
    ],
)
def test_odd_configs_are_refused(changes: dict[str, Any], reader: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        _config(reader, **changes)

    assert str(caught.value.attr).startswith("config.")


def test_the_password_is_not_in_the_configs_repr(reader: dict[str, Any]) -> None:
    assert "reader-secret-password" not in repr(_config(reader))


def test_a_scan_finds_everything_there_is(outside: dict[str, Any]) -> None:
    tables = {(table.schema, table.name): table for table in POSTGRES.scan(_config(outside))}

    assert list(tables) == [
        ("public", "note"),
        ("shop", "customer"),
        ("shop", "dear"),
        ("shop", "sale"),
        ("shop", "total"),
    ]
    customer, sale = tables["shop", "customer"], tables["shop", "sale"]
    assert customer.comment == "who buys"
    assert customer.rows == 2
    columns = {column.name: column for column in customer.columns}
    assert columns["email"].comment == "where to write"
    assert not columns["email"].nullable
    assert columns["id"].default == "identity"
    assert columns["joined"].default == "CURRENT_DATE"
    assert columns["feeling"].type == "shop.mood"
    assert sale.primary_key == ("customer_id", "line")
    assert sale.columns[2].type == "numeric(12,2)"
    (key,) = sale.foreign_keys
    assert (key.columns, key.schema, key.table, key.target_columns) == (("customer_id",), "shop", "customer", ("id",))
    indexes = {index.name: index for index in sale.indexes}
    assert indexes["sale_price"].columns[0] == "price"
    assert indexes["sale_pkey"].unique
    assert tables["shop", "dear"].kind == "view"
    assert tables["shop", "total"].kind == "materialised view"


def test_a_query_returns_json_values_and_type_names(reader: dict[str, Any]) -> None:
    result = _query(
        reader,
        """select 1::int2 a, 1.50::numeric b, 'infinity'::timestamp c, '2024-02-03 04:05:06+02'::timestamptz d,
                  '0044-03-15 BC'::date e, '1 mon 2 days'::interval f, '\\x00ff'::bytea g, 'NaN'::float8 h,
                  array[1, null] i, '{"k": [1]}'::jsonb j, null::text k, 'glad'::shop.mood l, '10.0.0.1'::inet m,
                  12345678901234567890::numeric n, date '2024-01-02' o, true p, int4range(1, 5) q,
                  '24:00'::time r, gen_random_uuid() s""",
    )

    values = {column["name"]: value for column, value in zip(result.columns, result.rows[0], strict=True)}
    types = {column["name"]: column["type"] for column in result.columns}
    assert values["a"] == 1
    assert values["b"] == 1.5
    assert values["c"] == "infinity"
    assert dt.datetime.fromisoformat(values["d"]) == dt.datetime(2024, 2, 3, 2, 5, 6, tzinfo=dt.UTC)
    assert values["e"] == "0044-03-15 BC"
    assert values["f"] == "P1M2D"
    assert values["g"] == "AP8="
    assert values["h"] == "nan"
    assert values["i"] == [1, None]
    assert values["j"] == {"k": [1]}
    assert values["k"] is None
    assert values["l"] == "glad"
    assert values["m"] == "10.0.0.1"
    assert values["n"] == "12345678901234567890"
    assert values["o"] == "2024-01-02"
    assert values["p"] is True
    assert values["q"] == "[1, 5)"
    assert values["r"] == "24:00:00"
    assert len(values["s"]) == 36
    assert types["l"] == "shop.mood"
    assert types["b"] == "numeric"


def test_parameters_are_sent_apart_from_the_text(reader: dict[str, Any]) -> None:
    result = _query(
        reader,
        "select body, :text::text, '100%', :flag::bool from note where id = any(:ids) and :text <> '' order by id",
        params={"text": "'; drop table note; --", "flag": None, "ids": [2, 3]},
    )

    assert [list(row) for row in result.rows] == [
        ["note 2", "'; drop table note; --", "100%", None],
        ["note 3", "'; drop table note; --", "100%", None],
    ]


def test_objects_become_jsonb(reader: dict[str, Any]) -> None:
    result = _query(reader, "select :a::jsonb -> 'k', :b::jsonb", params={"a": {"k": 1}, "b": [{"x": None}]})

    assert list(result.rows[0]) == [1, [{"x": None}]]


def test_rows_and_bytes_are_capped(reader: dict[str, Any]) -> None:
    exact = _query(reader, "select * from note order by id", max_rows=50)
    cut = _query(reader, "select * from note order by id", max_rows=49)
    many = _query(reader, "select generate_series(1, 1000000)", max_rows=5000)
    wide = _query(reader, "select repeat('x', 100000) from generate_series(1, 100)", max_bytes=1_000_000)

    assert (len(exact.rows), exact.truncated) == (50, False)
    assert (len(cut.rows), cut.truncated) == (49, True)
    assert (len(many.rows), many.truncated) == (5000, True)
    assert (len(wide.rows), wide.truncated) == (9, True)


def test_an_empty_result_has_columns(reader: dict[str, Any]) -> None:
    result = _query(reader, "select id from note where false")

    assert result.as_json() == {
        "columns": [{"name": "id", "type": "int4"}],
        "rows": [],
        "row_count": 0,
        "truncated": False,
    }


def test_the_servers_message_is_kept(reader: dict[str, Any]) -> None:
    with pytest.raises(ConnectorFailed, match=r'relation "nothing" does not exist.*42P01'):
        _query(reader, "select * from nothing")


def test_a_query_that_takes_too_long_is_ended_on_the_server(outside: dict[str, Any]) -> None:
    start = time.monotonic()
    with pytest.raises(ConnectorFailed) as caught:
        _query(outside, "select pg_sleep(30) as slept_too_long", timeout=0.5)

    assert caught.value.code == "timeout"
    assert time.monotonic() - start < 10


def test_a_cancelled_query_is_ended_on_the_server(outside: dict[str, Any]) -> None:
    flag = threading.Event()
    threading.Timer(0.3, flag.set).start()
    start = time.monotonic()

    with pytest.raises(ConnectorFailed) as caught:
        _query(outside, "select pg_sleep(30) as to_be_cancelled", cancelled=flag.is_set)

    assert caught.value.code == "cancelled"
    assert time.monotonic() - start < 10
    # Nothing goes on at the server.
    running = _query(
        outside,
        "select count(*) from pg_stat_activity where state = 'active' and query like :text",
        params={"text": "%to_be_" + "cancelled%"},
    )
    assert running.rows[0][0] <= 1


def test_a_network_that_swallows_everything_does_not_hold_the_query_for_ever(outside: dict[str, Any]) -> None:
    relay = Relay("127.0.0.1", outside["port"])
    threading.Timer(0.3, relay.flowing.clear).start()
    start = time.monotonic()
    try:
        with pytest.raises(ConnectorFailed) as caught:
            _query({**outside, "port": relay.port}, "select pg_sleep(60) as lost", timeout=0.6)
    finally:
        relay.flowing.set()
        relay.close()

    assert caught.value.code == "timeout"
    assert time.monotonic() - start < 15


def test_a_cancel_between_fetches_is_heard(reader: dict[str, Any]) -> None:
    calls = iter([False, False, True] + [True] * 100_000)

    with pytest.raises(ConnectorFailed) as caught:
        _query(
            reader,
            "select generate_series(1, 10000000)",
            max_rows=10_000_000,
            max_bytes=10**9,
            cancelled=lambda: next(calls),
        )

    assert caught.value.code == "cancelled"


@pytest.mark.parametrize("sql", [*WRITES, "select nextval('shop.customer_id_seq')", "select 1; delete from note"])
def test_the_server_refuses_to_write_even_where_the_reading_of_the_text_was_fooled(
    sql: str, outside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is the owner's and the polite check is taken away: what stays is the database's own word."""
    before = _notes(outside)
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    try:
        _query(outside, sql, timeout=5)
    except ConnectorFailed:
        refused = True
    else:
        refused = False

    harmless = ("select", "table", "values", "with")
    assert refused or sql.lower().startswith(harmless)
    assert _notes(outside) == before
    assert not _query(outside, "select to_regclass('copied') is not null or to_regclass('x') is not null").rows[0][0]


@pytest.mark.parametrize(
    "sql",
    [
        "with x as (delete from note returning *) select * from x",
        "select * into copied from note",
        "explain analyze delete from note",
        "do $$ begin delete from note; end $$",
        "select 1; delete from note",
        "set transaction read write",
        "copy note to program 'id'",
        "insert into note values (901, '')",
    ],
)
def test_the_cursor_takes_nothing_but_one_query(
    sql: str, outside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    with pytest.raises(ConnectorFailed):
        _query(outside, sql)


def test_a_function_that_writes_is_stopped_by_the_transaction(outside: dict[str, Any]) -> None:
    before = _notes(outside)
    _query(
        outside,
        "create or replace function sly() returns int language plpgsql as 'begin delete from note; return 1; end'",
        read_only=False,
    )

    with pytest.raises(ConnectorFailed, match="read-only transaction"):
        _query(outside, "select sly()")
    assert _notes(outside) == before


def test_a_writer_writes_once_and_says_how_much(outside: dict[str, Any]) -> None:
    result = _query(
        outside,
        "insert into note select n, 'more' from generate_series(:from, :to) n",
        params={"from": 101, "to": 103},
        read_only=False,
    )
    returned = _query(outside, "delete from note where id > 100 returning id", read_only=False)
    read = _query(outside, "select count(*) from note", read_only=False)

    assert list(result.rows[0]) == [3]
    assert sorted(row[0] for row in returned.rows) == [101, 102, 103]
    assert read.rows[0][0] == _notes(outside) == 50


def test_a_writer_that_fails_leaves_nothing(outside: dict[str, Any]) -> None:
    with pytest.raises(ConnectorFailed):
        _query(outside, "insert into note select n, 'x' from generate_series(200, 1, -1) n", read_only=False)

    assert _notes(outside) == 50


def test_two_statements_are_refused_by_the_protocol_for_writers_too(
    outside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, False, ()))

    with pytest.raises(ConnectorFailed, match="multiple commands"):
        _query(outside, "delete from note; delete from note", read_only=False)
    assert _notes(outside) == 50


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A PostgreSQL that asks for a password."""
    with password_postgresql(tmp_path_factory.mktemp("pg"), "correct-horse-battery") as port:
        if port is None:
            pytest.skip("no second PostgreSQL can be started here")
        yield {
            "host": "127.0.0.1",
            "port": port,
            "database": "postgres",
            "user": "keeper",
            "password": "correct-horse-battery",
        }


def test_a_right_password_logs_in_and_a_wrong_one_is_named_without_being_shown(guarded: dict[str, Any]) -> None:
    assert POSTGRES.test(_config(guarded)).ok

    wrong = POSTGRES.test(_config(guarded, password="wrong-horse-battery"))

    assert (wrong.phases[-1].name, wrong.phases[-1].ok) == ("authenticate", False)
    assert "password authentication failed" in wrong.phases[-1].detail
    assert "wrong-horse-battery" not in str(wrong)


def test_the_panels_own_environment_gives_no_password(
    guarded: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:correct-horse-battery\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("PGPASSWORD", "correct-horse-battery")

    assert not POSTGRES.test(_config(guarded, password="")).ok


def test_tls_is_checked_as_the_mode_says(tmp_path: Path, reader: dict[str, Any]) -> None:
    key, pem_file = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem_file, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with raw:
                try:
                    raw.recv(8)
                    raw.sendall(b"S")
                    with context.wrap_socket(raw, server_side=True):
                        pass
                except (OSError, ssl.SSLError):
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    pem = pem_file.read_text()

    def last(mode: str, host: str, ca: str = "") -> tuple[str, str]:
        result = POSTGRES.test(_config(reader, host=host, port=listener.getsockname()[1], tls={"mode": mode, "ca": ca}))
        return result.phases[-1].name, result.phases[-1].detail

    # Past the handshake this server does not go, so "authenticate" means that TLS was accepted.
    assert last("require", "localhost")[0] == "authenticate"
    assert last("verify-full", "localhost")[0] == "tls"
    assert "certificate was not accepted" in last("verify-full", "localhost")[1]
    assert last("verify-full", "localhost", pem)[0] == "authenticate"
    assert last("verify-full", "127.0.0.1", pem)[0] == "tls"
    assert last("verify-ca", "127.0.0.1", pem)[0] == "authenticate"
    assert last("verify-ca", "127.0.0.1", "not a certificate")[0] == "tls"
    listener.close()


def test_the_connector_is_the_one_in_the_table() -> None:
    assert isinstance(POSTGRES, PostgreSQL)
    assert PostgreSQLConfig.secret_fields() == {"password"}
