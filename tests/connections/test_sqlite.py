"""The SQLite connector on real files."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from connections import connectors
from connections.connectors import ConnectorFailed, Query, statements
from mcp_site.core.errors import Rejected

SQLITE = connectors.get("sqlite")


def _config(path: Path) -> Any:
    return connectors.read_config(SQLITE, {"path": str(path)})


def _query(path: Path, sql: str, **options: Any) -> connectors.Result:
    return SQLITE.query(_config(path), Query(sql=sql, **options))


def _digest(path: Path) -> bytes:
    return path.read_bytes()


def test_a_good_test_passes_every_phase(shop: Path) -> None:
    result = SQLITE.test(_config(shop))

    assert result.ok
    assert [phase.name for phase in result.phases] == ["resolve", "query"]
    assert result.server_version.startswith("SQLite 3")


def test_what_is_no_database_fails_at_the_query(files: Path) -> None:
    (files / "keys.json").write_text('{"SECRET_KEY": "do-not-show-this"}' * 100)

    result = SQLITE.test(_config(files / "keys.json"))

    assert (result.phases[-1].name, result.phases[-1].ok) == ("query", False)
    assert "do-not-show-this" not in str(result)


def test_every_path_outside_is_refused_in_the_same_words(shop: Path, files: Path, tmp_path: Path) -> None:
    shutil.copy(shop, tmp_path / "outside.db")
    (files / "link.db").symlink_to(tmp_path / "outside.db")
    (files / "folder").symlink_to(tmp_path)
    wrong = [
        tmp_path / "outside.db",
        tmp_path / "missing.db",
        files / "link.db",
        files / "folder" / "outside.db",
        files / ".." / "outside.db",
        files,
        Path("/etc/passwd"),
        Path("/dev/zero"),
        files.with_name("allowed-not.db"),
    ]

    details = set()
    for path in wrong:
        with pytest.raises(ConnectorFailed) as caught:
            SQLITE.scan(_config(path))
        details.add(caught.value.detail)

    assert len(details) == 1
    assert not SQLITE.test(_config(wrong[0])).ok


def test_a_link_that_stays_inside_is_followed(shop: Path, files: Path) -> None:
    (files / "again.db").symlink_to(shop)

    assert SQLITE.test(_config(files / "again.db")).ok


def test_a_missing_file_is_not_made(files: Path) -> None:
    assert not SQLITE.test(_config(files / "new.db")).ok
    assert not (files / "new.db").exists()


@pytest.mark.parametrize("path", ["shop.db", "", "../x", "file:/etc/passwd?mode=rw"])
def test_a_path_is_absolute(path: str) -> None:
    with pytest.raises(Rejected) as caught:
        connectors.read_config(SQLITE, {"path": path})

    assert caught.value.attr == "config.path"


def test_a_path_can_t_carry_options_of_the_uri(shop: Path, files: Path) -> None:
    odd = files / "a?mode=rwc&x=#y.db"
    shutil.copy(shop, odd)

    assert SQLITE.test(_config(odd)).ok


def test_a_scan_finds_everything_there_is(shop: Path) -> None:
    tables = {table.name: table for table in SQLITE.scan(_config(shop))}

    assert list(tables) == ["customer", "dear", "sale"]
    sale = tables["sale"]
    assert sale.primary_key == ("customer_id", "line")
    assert [(column.name, column.type) for column in sale.columns][:3] == [
        ("customer_id", "INTEGER"),
        ("line", "INT"),
        ("price", "REAL"),
    ]
    assert sale.foreign_keys[0].table == "customer"
    assert sale.foreign_keys[0].columns == ("customer_id",)
    assert {index.name for index in sale.indexes} == {"sale_price", "sqlite_autoindex_sale_1"}
    assert sale.rows == 3
    assert tables["customer"].columns[2].default == "'today'"
    assert not tables["customer"].columns[1].nullable
    assert tables["dear"].kind == "view"
    assert [column.name for column in tables["dear"].columns] == ["customer_id", "line", "price", "blob_"]


def test_a_broken_view_does_not_spoil_the_scan(files: Path) -> None:
    conn = sqlite3.connect(files / "broken.db")
    conn.executescript(
        "create table a (x int); create table b (y int); create view v as select * from b; drop table b;"
    )
    conn.close()

    tables = {table.name: table for table in SQLITE.scan(_config(files / "broken.db"))}

    assert tables["v"].columns == ()
    assert [column.name for column in tables["a"].columns] == ["x"]


def test_a_query_returns_json_values_and_types(shop: Path) -> None:
    result = _query(
        shop,
        "select line, price, blob_, null as n from sale where customer_id = :customer order by line",
        params={"customer": 1},
    )

    assert result.as_json() == {
        "columns": [
            {"name": "line", "type": "integer"},
            {"name": "price", "type": "real"},
            {"name": "blob_", "type": "blob"},
            {"name": "n", "type": "null"},
        ],
        "rows": [[1, 9.5, "AP8=", None], [2, None, None, None]],
        "row_count": 2,
        "truncated": False,
    }


def test_rows_and_bytes_are_capped(shop: Path) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) select i from n"

    assert len(_query(shop, numbers, max_rows=10).rows) == 10
    assert _query(shop, numbers, max_rows=10).truncated
    assert not _query(shop, "select 1", max_rows=1).truncated
    assert _query(shop, numbers, max_bytes=800).truncated


def test_one_huge_value_is_refused(shop: Path) -> None:
    with pytest.raises(ConnectorFailed, match="too big"):
        _query(shop, "select length(zeroblob(100000000)), zeroblob(100000000)", max_bytes=1000)


def test_a_query_without_end_runs_out_of_time(shop: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ConnectorFailed) as caught:
        _query(
            shop, "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n", timeout=0.3
        )

    assert caught.value.code == "timeout"
    assert time.monotonic() - start < 5


def test_a_query_without_end_can_be_cancelled(shop: Path) -> None:
    flag = threading.Event()
    threading.Timer(0.2, flag.set).start()

    with pytest.raises(ConnectorFailed) as caught:
        _query(
            shop,
            "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
            cancelled=flag.is_set,
        )

    assert caught.value.code == "cancelled"


WRITES = [
    "insert into customer (email) values ('x')",
    "delete from customer",
    "drop table customer",
    "create table x (a)",
    "create temp table x (a)",
    "attach database '/tmp/x.db' as x",
    "attach ':memory:' as x",
    "detach main",
    "vacuum",
    "vacuum into '/tmp/mcp-copy.db'",
    "pragma query_only = off",
    "pragma writable_schema = on",
    "pragma journal_mode = delete",
    "reindex",
    "analyze",
    "begin",
    "savepoint a",
    "select load_extension('x')",
    "select 1; delete from customer",
    "with x as (select 1) delete from customer",
    "replace into customer values (1, 'x', 'y')",
    "select * from pragma_query_only",
    "select * from pragma_table_info('customer')",
    "select fts3_tokenizer('simple')",
]


@pytest.mark.parametrize("sql", WRITES)
def test_the_engine_refuses_to_write_even_where_the_reading_of_the_text_was_fooled(
    sql: str, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _digest(shop)
    with pytest.raises(Rejected if "pragma_" not in sql and "fts3" not in sql else ConnectorFailed):
        _query(shop, sql)
    monkeypatch.setattr(statements, "read", lambda text, params, **_: statements.Statement(text, True, ()))

    with pytest.raises(ConnectorFailed):
        _query(shop, sql)

    assert _digest(shop) == before
    assert not Path("/tmp/mcp-copy.db").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "attach database '/tmp/x.db' as x",
        "vacuum into '/tmp/mcp-copy.db'",
        "pragma writable_schema = on",
        "select load_extension('x')",
    ],
)
def test_a_writer_stays_in_its_file(sql: str, shop: Path) -> None:
    with pytest.raises((ConnectorFailed, Rejected)):
        _query(shop, sql, read_only=False)

    assert not Path("/tmp/mcp-copy.db").exists()


def test_a_writer_writes_and_says_how_much(shop: Path) -> None:
    result = _query(
        shop, "insert into customer (email) values (:a), (:b)", params={"a": "x", "b": "y"}, read_only=False
    )

    assert list(result.rows[0]) == [2]
    assert _query(shop, "select count(*) from customer").rows[0][0] == 4


def test_numbers_beyond_64_bits_are_refused_at_their_parameter(shop: Path) -> None:
    with pytest.raises(Rejected) as caught:
        _query(shop, "select :n", params={"n": 2**63})

    assert caught.value.attr == "params.n"


def test_other_placeholders_are_refused_with_a_message(shop: Path) -> None:
    with pytest.raises(ConnectorFailed):
        _query(shop, "select ?")


def test_text_that_is_not_utf8_does_not_end_the_query(shop: Path) -> None:
    assert _query(shop, "select cast(x'ff41' as text)").rows[0][0] == "\ufffdA"
