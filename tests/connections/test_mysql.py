"""The MySQL connector against a real MariaDB: its own, started here, or the one at the usual port."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from connections import connectors
from connections.connectors import ConnectorFailed, Query, statements
from mcp_site.core.errors import Rejected
from tests.connections.mysql_server import RogueMySQL, found_mariadb, private_mariadb
from tests.connections.servers import Relay, free_port

MYSQL = connectors.get("mysql")
SEED = """
create database mcp_shop character set utf8mb4;
use mcp_shop;
create table note (id int primary key, body text);
insert into note select seq, concat('note ', seq) from seq_1_to_50;
create table old (id int) engine = myisam;
create table customer (
  id bigint unsigned auto_increment primary key, email varchar(200) not null unique comment 'where to write',
  feeling enum('glad', 'sad'), joined date default current_date, score decimal(12, 2) default 1.50
) comment = 'who buys';
create table sale (
  customer_id bigint unsigned not null, line int, price double, primary key (customer_id, line),
  constraint buyer foreign key (customer_id) references customer (id), key price_first (price, line)
);
create view dear as select * from sale where price > 100;
create sequence counter;
insert into customer (email, feeling) values ('a@example.org', 'glad'), ('b@example.org', null);
analyze table note, customer, sale;
create user 'reader'@'127.0.0.1' identified by 'reader-secret-password';
grant select, execute on mcp_shop.* to 'reader'@'127.0.0.1';
"""
PROCEDURE = "create procedure sly() begin commit; set session transaction read write; delete from note; end"
FUNCTION = "create function slier() returns int begin delete from note; return 1; end"


@pytest.fixture(scope="module")
def mariadb() -> Iterator[dict[str, Any]]:
    """A server with a small database: its administrator's login."""
    with private_mariadb() as private:
        found = private or found_mariadb()
        if found is None:
            pytest.skip("NOT TESTED: no MariaDB or MySQL server is installed or answers at 127.0.0.1:3306")
        login = {name: found[name] for name in ("host", "port", "user")}
        with pymysql.connect(**login, autocommit=True, ssl_disabled=True) as conn, conn.cursor() as cursor:
            cursor.execute("drop database if exists mcp_shop")
            cursor.execute("drop user if exists 'reader'@'127.0.0.1'")
            for sql in [*SEED.split(";\n"), PROCEDURE, FUNCTION]:
                if sql.strip():
                    cursor.execute(sql)
            yield {**login, "database": "mcp_shop", "ca": found["ca"]}
            cursor.execute("drop database mcp_shop")
            cursor.execute("drop user 'reader'@'127.0.0.1'")


@pytest.fixture
def owner(mariadb: dict[str, Any]) -> dict[str, Any]:
    """The config of a login that may do everything."""
    return {name: value for name, value in mariadb.items() if name != "ca"}


@pytest.fixture
def reader(owner: dict[str, Any]) -> dict[str, Any]:
    """The config of a login that may only read."""
    return {**owner, "user": "reader", "password": "reader-secret-password"}


def _config(values: dict[str, Any], **changes: Any) -> Any:
    return connectors.read_config(MYSQL, {**values, **changes})


def _query(values: dict[str, Any], sql: str, **options: Any) -> connectors.Result:
    return MYSQL.query(_config(values), Query(sql=sql, **options))


def _state(owner: dict[str, Any]) -> tuple[Any, ...]:
    """Return what no read-only query may change."""
    with (
        pymysql.connect(
            **{name: owner[name] for name in ("host", "port", "user", "database")}, ssl_disabled=True
        ) as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute(
            "select (select count(*) from note), (select count(*) from old), @@global.max_connections,"
            " (select count(*) from information_schema.tables where table_schema = 'mcp_shop'),"
            " (select count(*) from mysql.user), (select next_not_cached_value from counter)"
        )
        row = cursor.fetchone()
        assert row is not None
        return tuple(row)


def test_a_good_test_passes_every_phase(reader: dict[str, Any]) -> None:
    result = MYSQL.test(_config(reader))

    assert result.ok, result
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "tls", "authenticate", "query"]
    assert all(phase.ms >= 0 for phase in result.phases)
    assert result.server_version.startswith("MariaDB ")
    assert result.warnings == ()


def test_a_login_that_can_write_is_warned_about(owner: dict[str, Any]) -> None:
    assert "can write" in MYSQL.test(_config(owner)).warnings[0]
    assert "can write" in _query(owner, "select 1").warnings[0]


def test_each_fault_stops_at_its_phase_with_advice(reader: dict[str, Any]) -> None:
    closed = MYSQL.test(_config(reader, port=free_port())).phases[-1]
    wrong = MYSQL.test(_config(reader, password="wrong-secret-password"))
    no_database = MYSQL.test(_config(reader, database="nowhere")).phases[-1]

    assert (closed.name, closed.ok) == ("connect", False)
    assert "Nothing listens" in closed.detail
    assert (wrong.phases[-1].name, wrong.phases[-1].ok) == ("authenticate", False)
    assert "Access denied" in wrong.phases[-1].detail
    assert "wrong-secret-password" not in str(wrong)
    assert (no_database.name, no_database.ok) == ("authenticate", False)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\xff" * 100, b"\x05\x00\x00\x00abc"])
def test_a_server_that_speaks_something_else_says_so(greeting: bytes, reader: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            found, _ = listener.accept()
            with found:
                found.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        result = MYSQL.test(_config(reader, port=listener.getsockname()[1], connect_timeout=2))
        thread.join()

    assert (result.phases[-1].name, result.phases[-1].ok) == ("authenticate", False)


def test_the_panels_own_address_is_refused(reader: dict[str, Any], settings: Any) -> None:
    settings.MCP_OWN_ADDRESS = f"localhost:{reader['port']}"

    assert [(phase.name, phase.ok) for phase in MYSQL.test(_config(reader)).phases] == [("resolve", False)]
    with pytest.raises(ConnectorFailed) as caught:
        _query(reader, "select 1")
    assert caught.value.code == "egress_refused"


def test_tls_is_checked_as_the_mode_says(mariadb: dict[str, Any], reader: dict[str, Any]) -> None:
    if not mariadb["ca"]:
        pytest.skip("NOT TESTED: the MariaDB at 127.0.0.1:3306 has no TLS, and none could be started")

    def last(mode: str, host: str, ca: str = "") -> tuple[str, bool, str]:
        phases = MYSQL.test(_config(reader, host=host, tls={"mode": mode, "ca": ca})).phases
        return phases[-1].name, phases[-1].ok, " ".join(phase.detail for phase in phases)

    assert last("disable", "localhost")[:2] == ("query", True)
    assert "TLSv1" in last("prefer", "localhost")[2]
    assert "TLSv1" in last("require", "localhost")[2]
    assert last("verify-full", "localhost")[:2] == ("tls", False)
    assert "certificate was not accepted" in last("verify-full", "localhost")[2]
    assert last("verify-full", "localhost", mariadb["ca"])[:2] == ("query", True)
    assert last("verify-full", "127.0.0.1", mariadb["ca"])[:2] == ("tls", False)
    assert last("verify-ca", "127.0.0.1", mariadb["ca"])[:2] == ("query", True)
    assert last("verify-ca", "127.0.0.1", "not a certificate")[:2] == ("tls", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "/run/mysqld/mysqld.sock"},
        {"unix_socket": "/run/mysqld/mysqld.sock"},
        {"init_command": "set global x = 1"},
        {"read_default_file": "/etc/my.cnf"},
        {"local_infile": True},
        {"auth_plugin_map": {}},
        {"connect_timeout": 0},
        {"statement_timeout": -1},
    ],
)
def test_odd_configs_and_the_drivers_own_parameters_are_refused(
    changes: dict[str, Any], reader: dict[str, Any]
) -> None:
    with pytest.raises(Rejected) as caught:
        _config(reader, **changes)

    assert str(caught.value.attr).startswith("config.")


def test_a_scan_finds_everything_there_is(reader: dict[str, Any]) -> None:
    tables = {table.name: table for table in MYSQL.scan(_config(reader))}

    assert list(tables) == ["customer", "dear", "note", "old", "sale"]
    customer, sale = tables["customer"], tables["sale"]
    assert (customer.schema, customer.comment, customer.rows) == ("mcp_shop", "who buys", 2)
    columns = {column.name: column for column in customer.columns}
    assert columns["email"].comment == "where to write"
    assert not columns["email"].nullable
    assert columns["id"].type == "bigint(20) unsigned"
    assert columns["id"].default == "auto_increment"
    assert columns["feeling"].default is None
    assert columns["score"].default == "1.50"
    assert sale.primary_key == ("customer_id", "line")
    (key,) = sale.foreign_keys
    assert (key.name, key.columns, key.table, key.target_columns) == ("buyer", ("customer_id",), "customer", ("id",))
    indexes = {index.name: index for index in sale.indexes}
    assert indexes["price_first"].columns == ("price", "line")
    assert indexes["PRIMARY"].unique
    assert tables["dear"].kind == "view"


def test_a_query_returns_json_values_and_type_names(reader: dict[str, Any]) -> None:
    result = _query(
        reader,
        """select cast(-1 as signed) a, cast(18446744073709551615 as unsigned) b, 1.50 c, cast('-838:59:59' as time) d,
                  cast('2024-02-03 04:05:06.789' as datetime(3)) e, date '2024-01-02' f, x'00ff' g, b'101' h,
                  null i, 'größer 🦊' j, 1e0 k, cast(12345678901234567890.5 as decimal(30, 1)) l,
                  (select feeling from customer where id = 1) m, repeat('x', 70000) n, year('2024-01-01') o, true p,
                  cast('0000-00-00' as date) q""",
    )

    values = {column["name"]: value for column, value in zip(result.columns, result.rows[0], strict=True)}
    types = {column["name"]: column["type"] for column in result.columns}
    assert values["a"] == -1
    assert values["b"] == 18446744073709551615
    assert values["c"] == 1.5
    assert values["d"] == "-838:59:59"
    assert dt.datetime.fromisoformat(values["e"]) == dt.datetime(2024, 2, 3, 4, 5, 6, 789000)  # noqa: DTZ001
    assert values["f"] == "2024-01-02"
    assert values["g"] == "AP8="
    assert values["i"] is None
    assert values["j"] == "größer 🦊"
    assert values["k"] == 1.0
    assert values["l"] == "12345678901234567890.5"
    assert values["m"] == "glad"
    assert values["n"] == "x" * 70000
    assert values["o"] == 2024
    assert values["p"] == 1
    assert (types["b"], types["c"], types["g"], types["j"]) == ("bigint", "decimal", "varbinary", "varchar")


def test_parameters_are_sent_apart_from_the_text(reader: dict[str, Any]) -> None:
    result = _query(
        reader,
        "select body, :text, '100% ?', :flag, :deep -- :none\n from note where id in :ids and :text <> '' order by id",
        params={"text": "'; drop table note; -- \\", "flag": None, "ids": [2, 3], "deep": {"k": [1]}},
    )

    assert [list(row) for row in result.rows] == [
        ["note 2", "'; drop table note; -- \\", "100% ?", None, '{"k": [1]}'],
        ["note 3", "'; drop table note; -- \\", "100% ?", None, '{"k": [1]}'],
    ]
    assert not _query(reader, "select 1 from note where id in :none", params={"none": []}).rows
    long = _query(reader, "select :a, :b, :c, :d", params={"a": "x" * 300, "b": 2**70, "c": 1.25, "d": True}).rows[0]
    assert list(long) == ["x" * 300, str(2**70), 1.25, 1]


def test_a_text_that_the_server_reads_differently_is_not_run(
    reader: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    with pytest.raises(Rejected, match="reads the parameters differently"):
        _query(reader, "select ?")


def test_rows_and_bytes_are_capped(reader: dict[str, Any]) -> None:
    exact = _query(reader, "select * from note order by id", max_rows=50)
    cut = _query(reader, "select * from note order by id limit 50", max_rows=49)
    many = _query(reader, "select a.id from note a, note b, note c", max_rows=5000)
    wide = _query(reader, "select repeat('x', 100000) from note", max_bytes=1_000_000)
    empty = _query(reader, "select id from note where false")

    assert (len(exact.rows), exact.truncated) == (50, False)
    assert (len(cut.rows), cut.truncated) == (49, True)
    assert (len(many.rows), many.truncated) == (5000, True)
    assert (len(wide.rows), wide.truncated) == (9, True)
    assert (empty.columns, empty.rows) == (({"name": "id", "type": "int"},), ())


def test_the_servers_message_is_kept(reader: dict[str, Any]) -> None:
    with pytest.raises(ConnectorFailed, match=r"nothing.*doesn't exist.*1146"):
        _query(reader, "select * from nothing")


def test_a_query_that_takes_too_long_is_ended_on_the_server(reader: dict[str, Any], owner: dict[str, Any]) -> None:
    start = time.monotonic()
    with pytest.raises(ConnectorFailed) as caught:
        _query(reader, "select sleep(30) as slept_too_long", timeout=0.5)

    assert caught.value.code == "timeout"
    assert time.monotonic() - start < 10
    assert _running(owner, "slept_too_long") == 0


def test_the_connections_own_limit_counts_too(reader: dict[str, Any]) -> None:
    with pytest.raises(ConnectorFailed) as caught:
        _query({**reader, "statement_timeout": 1}, "select sleep(30)", timeout=60)

    assert caught.value.code == "timeout"


def test_a_cancelled_query_is_ended_on_the_server(reader: dict[str, Any], owner: dict[str, Any]) -> None:
    flag = threading.Event()
    threading.Timer(0.3, flag.set).start()
    start = time.monotonic()

    with pytest.raises(ConnectorFailed) as caught:
        _query(
            reader,
            "select sum(a.id * b.id + c.id) from note a, note b, note c, note d, note e, note f /* to_be_ended */",
            cancelled=flag.is_set,
        )

    assert caught.value.code == "cancelled"
    assert time.monotonic() - start < 10
    assert _running(owner, "to_be_ended") == 0


def _running(owner: dict[str, Any], word: str) -> int:
    rows = _query(
        owner,
        "select count(*) from information_schema.processlist where info like :word and info not like '%processlist%'",
        params={"word": f"%{word}%"},
    ).rows
    return int(rows[0][0])


def test_a_network_that_swallows_everything_does_not_hold_the_query_for_ever(reader: dict[str, Any]) -> None:
    relay = Relay("127.0.0.1", reader["port"])
    threading.Timer(0.4, relay.flowing.clear).start()
    start = time.monotonic()
    try:
        with pytest.raises(ConnectorFailed) as caught:
            _query({**reader, "port": relay.port, "connect_timeout": 2}, "select sleep(60)", timeout=0.8)
    finally:
        relay.flowing.set()
        relay.close()

    assert caught.value.code == "timeout"
    assert time.monotonic() - start < 20


# T-DB-4: what tries to write, or to leave the query, past a reader of SQL text.
WRITES = [
    "insert into note values (901, '')",
    "insert into note values (901, '') returning id",
    "replace into note values (1, '')",
    "update note set body = ''",
    "delete from note",
    "delete from note returning id",
    "insert into old values (1)",
    "truncate note",
    "drop table note",
    "create table x (a int)",
    "create temporary table x (a int)",
    "alter table note add x int",
    "rename table note to x",
    "create or replace view x as select 1",
    "optimize table note",
    "repair table old",
    "with x as (select 1) delete from note",
    "with x as (delete from note returning *) select * from x",
    "analyze delete from note",
    "explain delete from note",
    "begin not atomic commit; delete from note; end",
    "begin not atomic set session transaction read write; commit; delete from note; commit; end",
    "execute immediate 'delete from note'",
    "prepare p from 'delete from note'",
    "call sly()",
    "select slier()",
    "select nextval(counter)",
    "select setval(counter, 1000)",
    "select 1; delete from note",
    "select 1;\ndelete from note -- ",
    "select 1 /*! ; delete from note */",
    "select * from note into outfile '/tmp/mcp-written-by-mysql'",
    "select 1 /*!50000 into outfile '/tmp/mcp-written-by-mysql' */",
    "select 1 /*M! into outfile '/tmp/mcp-written-by-mysql' */",
    "select 'x' into dumpfile '/tmp/mcp-written-by-mysql'",
    "select id into @x from note limit 1",
    "select * from note for update",
    "load data local infile '/etc/passwd' into table note",
    "load data infile '/etc/passwd' into table note",
    "set transaction read write",
    "set session transaction read write",
    "set global max_connections = 77",
    "set password = password('x')",
    "start transaction read write",
    "commit",
    "xa start 'x'",
    "lock tables note write",
    "handler note open",
    "flush tables",
    "kill 1",
    "grant select on *.* to 'x'@'y' identified by 'z'",
    "create user 'x'@'y'",
    "install soname 'x'",
    "change master to master_host = '127.0.0.1'",
]


# A function's name does not say what it does: only the server knows.
@pytest.mark.parametrize(
    "sql",
    [
        *(sql for sql in WRITES if sql != "select slier()"),
        "select load_file('/etc/passwd')",
        "select LOAD_FILE/**/('/etc/passwd')",
    ],
)
def test_what_writes_is_refused_before_it_is_sent(sql: str) -> None:
    with pytest.raises(Rejected):
        statements.read(sql, {}, dialect="mysql", read_only=True)


@pytest.mark.parametrize("sql", WRITES)
def test_the_server_refuses_to_write_even_where_the_reading_of_the_text_was_fooled(
    sql: str, owner: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login is the administrator's and the polite check is taken away: what stays is the server's own word."""
    before = _state(owner)
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    with pytest.raises((ConnectorFailed, Rejected)):
        _query(owner, sql, timeout=5)
    assert _state(owner) == before


def test_a_writer_writes_once_and_says_how_much(owner: dict[str, Any]) -> None:
    result = _query(
        owner,
        "insert into note select seq, 'more' from seq_101_to_200 where seq between :from and :to",
        params={"from": 101, "to": 103},
        read_only=False,
    )
    returned = _query(owner, "delete from note where id > 100 returning id", read_only=False)

    assert list(result.rows[0]) == [3]
    assert sorted(row[0] for row in returned.rows) == [101, 102, 103]
    assert _state(owner)[0] == 50


def test_a_writer_that_fails_or_is_ended_leaves_nothing(owner: dict[str, Any]) -> None:
    with pytest.raises(ConnectorFailed):
        _query(owner, "insert into note select seq, 'x' from seq_60_to_40", read_only=False)
    with pytest.raises(ConnectorFailed):
        _query(owner, "insert into note select 300 + sleep(5), 'x'", read_only=False, timeout=0.5)
    with pytest.raises(Rejected):
        _query(owner, "load data local infile '/etc/passwd' into table note", read_only=False)

    assert _state(owner)[0] == 50


@pytest.mark.parametrize("when", [0x03, 0x16, 0x17])
def test_a_server_that_asks_for_a_file_of_ours_gets_none(when: int, reader: dict[str, Any]) -> None:
    """T-DB-1. 0x03: at any statement of the panel's own; 0x16, 0x17: as the answer to a prepared statement."""
    rogue = RogueMySQL("file", when)
    values = {**reader, "port": rogue.port, "connect_timeout": 2}
    try:
        tested = MYSQL.test(_config(values))
        with pytest.raises((ConnectorFailed, Rejected)):
            _query(values, "select 1", timeout=3)
        with pytest.raises((ConnectorFailed, Rejected)):
            _query(values, "delete from note", read_only=False, timeout=3)
        with pytest.raises(ConnectorFailed):
            MYSQL.scan(_config(values))
    finally:
        rogue.close()

    assert not tested.ok
    assert not any(b"root:" in heard or b"/bin/" in heard for heard in rogue.heard)


def test_a_server_that_asks_for_the_password_in_clear_does_not_get_it(reader: dict[str, Any]) -> None:
    rogue = RogueMySQL("clear")
    try:
        phase = MYSQL.test(_config(reader, port=rogue.port, connect_timeout=2)).phases[-1]
    finally:
        rogue.close()

    assert rogue.asked.is_set()
    assert (phase.name, phase.ok) == ("authenticate", False)
    assert "in clear" in phase.detail
    assert not any(b"reader-secret-password" in heard for heard in rogue.heard)
