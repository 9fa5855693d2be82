"""The DuckDB connector on real files."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connections import connectors
from connections.connectors import ConnectorFailed, Query, parameter_names, statements
from mcp_site.core.errors import Rejected

DUCKDB = connectors.get("duckdb")
SEED = """
create schema shop;
create table shop.customer (id int primary key, email varchar not null unique, joined date default current_date);
create table shop.sale (customer_id int references shop.customer (id), line int, price decimal(12, 2));
create index sale_price on shop.sale (price, line);
create view shop.dear as select * from shop.sale where price > 100;
comment on table shop.customer is 'who buys';
comment on column shop.customer.email is 'where to write';
create table note as select n as id, 'note ' || n as body from range(1, 51) t(n);
insert into shop.customer values (1, 'a@example.org', '2024-01-02'), (2, 'b@example.org', null);
"""


@pytest.fixture
def lake(files: Path) -> Path:
    """A small DuckDB file."""
    path = files / "lake.duckdb"
    with duckdb.connect(str(path)) as conn:
        conn.execute(SEED)
    return path


def _config(path: Path) -> Any:
    return connectors.read_config(DUCKDB, {"path": str(path)})


def _query(path: Path, sql: str, **options: Any) -> connectors.Result:
    return DUCKDB.query(_config(path), Query(sql=sql, **options))


def test_a_good_test_passes_every_phase(lake: Path) -> None:
    result = DUCKDB.test(_config(lake))

    assert result.ok
    assert [phase.name for phase in result.phases] == ["resolve", "query"]
    assert result.server_version.startswith("DuckDB ")


def test_what_is_no_database_or_outside_fails_and_shows_nothing(lake: Path, files: Path, tmp_path: Path) -> None:
    (files / "keys.json").write_text('{"SECRET_KEY": "do-not-show-this"}' * 100)
    shutil.copy(lake, tmp_path / "outside.duckdb")
    (files / "link.duckdb").symlink_to(tmp_path / "outside.duckdb")

    foreign = DUCKDB.test(_config(files / "keys.json"))

    assert (foreign.phases[-1].name, foreign.phases[-1].ok) == ("query", False)
    assert "do-not-show-this" not in str(foreign)
    for path in (tmp_path / "outside.duckdb", files / "link.duckdb", files / "missing.duckdb"):
        assert DUCKDB.test(_config(path)).phases[-1].name == "resolve"
        with pytest.raises(ConnectorFailed):
            _query(path, "select 1")


def test_a_scan_finds_everything_there_is(lake: Path) -> None:
    tables = {(table.schema, table.name): table for table in DUCKDB.scan(_config(lake))}

    assert list(tables) == [("main", "note"), ("shop", "customer"), ("shop", "dear"), ("shop", "sale")]
    customer, sale = tables["shop", "customer"], tables["shop", "sale"]
    assert (customer.comment, customer.rows, customer.primary_key) == ("who buys", 2, ("id",))
    columns = {column.name: column for column in customer.columns}
    assert (columns["email"].comment, columns["email"].nullable) == ("where to write", False)
    assert "current_date" in str(columns["joined"].default).lower()
    assert sale.columns[2].type == "DECIMAL(12,2)"
    (key,) = sale.foreign_keys
    assert (key.columns, key.table, key.target_columns) == (("customer_id",), "customer", ("id",))
    assert [(index.name, index.columns) for index in sale.indexes] == [("sale_price", ("price", "line"))]
    assert tables["shop", "dear"].kind == "view"


def test_a_query_returns_json_values_and_type_names(lake: Path) -> None:
    result = _query(
        lake,
        """select 1.50::decimal(4, 2) a, '00ff'::blob b, [1, null] c, {'k': 'v'} d, null e, 2::hugeint ** 0 f,
                  'NaN'::double g, timestamp '2024-02-03 04:05:06' h, :text i, :flag j, x[1:2] k, list_sum(:ids) l
           from (select [7, 8, 9] x)""",
        params={"text": "'; drop table note; --", "flag": None, "ids": [1, 2]},
    )

    values = {column["name"]: value for column, value in zip(result.columns, result.rows[0], strict=True)}
    types = {column["name"]: column["type"] for column in result.columns}
    assert (values["a"], values["c"], values["d"], values["e"]) == (1.5, [1, None], {"k": "v"}, None)
    assert (values["g"], values["h"]) == ("nan", "2024-02-03T04:05:06")
    assert (values["i"], values["j"], values["k"], values["l"]) == ("'; drop table note; --", None, [7, 8], 3)
    assert types["a"] == "decimal(4,2)"


def test_parameters_are_found_where_they_are_parameters() -> None:
    sql = "select :a::int, ':b', $$ :c $$, {'k': :d}, x[:e], y[1:f], f(k := 1) -- :g"

    assert parameter_names(sql, "duckdb") == ["a", "d", "e"]


def test_rows_and_bytes_are_capped(lake: Path) -> None:
    exact = _query(lake, "select * from note order by id", max_rows=50)
    cut = _query(lake, "select * from note order by id", max_rows=49)
    wide = _query(lake, "select repeat('x', 100000) from note", max_bytes=1_000_000)

    assert (len(exact.rows), exact.truncated) == (50, False)
    assert (len(cut.rows), cut.truncated) == (49, True)
    assert (len(wide.rows), wide.truncated) == (9, True)


ENDLESS = "select sum(sqrt(range % 7)) from range(100000000000000)"


def test_a_query_is_ended_when_it_is_out_of_time_or_cancelled(lake: Path) -> None:
    flag = threading.Event()
    threading.Timer(0.3, flag.set).start()
    start = time.monotonic()

    with pytest.raises(ConnectorFailed) as late:
        _query(lake, ENDLESS, timeout=0.5)
    with pytest.raises(ConnectorFailed) as cancelled:
        _query(lake, ENDLESS, cancelled=flag.is_set)

    assert (late.value.code, cancelled.value.code) == ("timeout", "cancelled")
    assert time.monotonic() - start < 15


def test_a_query_can_not_take_all_memory(lake: Path) -> None:
    with pytest.raises(ConnectorFailed, match="Out of Memory"):
        _query(lake, "select list(repeat('x', 1000) || range) from range(10000000)", timeout=60)


WRITES = [
    "insert into note values (99, 'x')",
    "update note set body = ''",
    "delete from note",
    "with x as (delete from note returning *) select * from x",
    "drop table note",
    "create table x (a int)",
    "create temp table x (a int)",
    "copy note to '/tmp/mcp-written-by-duckdb.csv'",
    "copy (select 1) to '/tmp/mcp-written-by-duckdb.csv'",
    "export database '/tmp/mcp-written-by-duckdb'",
    "attach '/tmp/mcp-written-by-duckdb.duckdb'",
    "attach ':memory:' as m",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma enable_profiling",
    "create secret x (type s3)",
    "select * from read_text('/etc/passwd')",
    "select * from read_csv('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from glob('/etc/*')",
    "select * from sniff_csv('/etc/passwd')",
    "copy note from '/etc/passwd'",
    "select 1; delete from note",
    "explain analyze delete from note",
    "call pragma_version()",
    "prepare p as delete from note",
    "checkpoint",
    "use memory",
]


@pytest.mark.parametrize("sql", WRITES)
def test_the_engine_refuses_to_write_or_reach_out_even_where_the_reading_of_the_text_was_fooled(
    sql: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lake.read_bytes()
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    with pytest.raises((ConnectorFailed, Rejected)):
        _query(lake, sql, timeout=5)
    assert lake.read_bytes() == before
    assert not list(Path("/tmp").glob("mcp-written-by-duckdb*"))


def test_a_writer_writes_once_and_says_how_much(lake: Path) -> None:
    result = _query(
        lake,
        "insert into note select n, 'more' from range(:from, :to) t(n)",
        params={"from": 101, "to": 104},
        read_only=False,
    )
    gone = _query(lake, "delete from note where id > 100", read_only=False)

    assert (result.columns[0]["name"], list(result.rows[0])) == ("rows_affected", [3])
    assert list(gone.rows[0]) == [3]
    assert _query(lake, "select count(*) from note").rows[0][0] == 50
    for sql in ("attach '/tmp/x.duckdb'", "copy note to '/tmp/x.csv'", "install httpfs", "select 1; select 2"):
        with pytest.raises((ConnectorFailed, Rejected)):
            _query(lake, sql, read_only=False)
