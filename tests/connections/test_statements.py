"""Reading one statement before it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.connectors import parameter_names, statements
from connections.connectors.values import json_value
from mcp_site.core.errors import Rejected


def _read(sql: str, dialect: Any = "postgres", read_only: bool = True, **params: Any) -> statements.Statement:
    return statements.read(sql, params, dialect=dialect, read_only=read_only)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select :a, :b, :a", ["a", "b", "a"]),
        ("select ':a', \":b\", :c", ["c"]),
        ("select 'it''s :a', :b", ["b"]),
        ("select 1 -- :a\n + :b", ["b"]),
        ("select /* :a /* :b */ :c */ :d", ["d"]),
        ("select :a::int, x::text", ["a"]),
        ("select $$ :a $$, $t$ :b $$ $t$, :c", ["c"]),
        ("select E'\\' :a', :b", ["b"]),
        ("select x[1:2], y[a:b], (z)[1:n]", []),
        ("select f(x := 1)", []),
        ("select ':a", []),
        ("select /* :a", []),
        ("select $$ :a", []),
        ("select ::a", []),
    ],
)
def test_postgres_parameters_are_found_where_they_are_parameters(sql: str, names: list[str]) -> None:
    assert parameter_names(sql, "postgres") == names


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select :a, ':b', [c:d], `e:f`, \":g\"", ["a"]),
        ("select /* /* :a */ :b", ["b"]),
        ("select '\\', :a", ["a"]),
    ],
)
def test_sqlite_parameters_follow_sqlites_own_quoting(sql: str, names: list[str]) -> None:
    assert parameter_names(sql, "sqlite") == names


def test_parameters_become_numbers_and_everything_else_stays() -> None:
    statement = _read("select :b::int, ':a', :a, :b -- :a", a=1, b=2)

    assert statement.names == ("b", "a")
    assert statements.with_numbers(statement, "postgres") == "select $1::int, ':a', $2, $1 -- :a"


@given(st.text(alphabet="a:'\"$/*- \n\\E[]1", max_size=40))
def test_what_has_no_parameter_is_never_changed(sql: str) -> None:
    names = parameter_names(sql, "postgres")
    statement = statements.Statement(sql, True, tuple(dict.fromkeys(names)))

    if not names:
        assert statements.with_numbers(statement, "postgres") == sql


def test_missing_and_unknown_parameters_are_named_together() -> None:
    with pytest.raises(Rejected) as caught:
        _read("select :a, :b", b=1, c=2)

    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("params.a", "required"),
        ("params.c", "unknown_parameter"),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "select 1;",
        "select 1; -- the end",
        "  with x as (select 1) select * from x",
        "values (1), (2)",
        "(select 1) union all select 2",
        "table note",
        "select * from a where exists (select 1 from b)",
        "/* select; */ select ';'",
    ],
)
def test_queries_are_accepted(sql: str) -> None:
    assert _read(sql).is_query


# What tries to write, or to leave the query, past a reader of SQL text.
WRITES = [
    "insert into note values (1)",
    "update note set body = ''",
    "delete from note",
    "truncate note",
    "drop table note",
    "create table x (a int)",
    "alter table note add x int",
    "grant select on note to public",
    "with x as (delete from note returning *) select * from x",
    "with x as (insert into note values (900, 'x') returning *) select * from x",
    "with x as (update note set body = 'x' returning *) select * from x",
    "merge into note using note n on true when matched then delete",
    "select * into copied from note",
    "create table copied as select * from note",
    "select * from note for update",
    "explain analyze delete from note",
    "explain select 1",
    "do $$ begin delete from note; end $$",
    "call something()",
    "copy note to '/tmp/x'",
    "copy note to program 'id'",
    "copy (select 1) to stdout",
    "set transaction read write",
    "set session characteristics as transaction read write",
    "begin read write",
    "commit",
    "rollback",
    "prepare x as delete from note",
    "execute x",
    "listen x",
    "notify x",
    "lock table note",
    "vacuum note",
    "refresh materialized view shop.total",
    "load 'x'",
    "show all",
    "declare c cursor for select 1",
    "select set_config('transaction_read_only', 'off', false)",
    "select pg_catalog.set_config('transaction_read_only', 'off', false)",
    "select pg_read_file('/etc/passwd')",
    "select \"pg_read_file\"('/etc/passwd')",
    "select * from pg_ls_dir('/')",
    "select lo_export(1, '/tmp/x')",
    "select lo_import('/etc/passwd')",
    "select * from dblink('host=x', 'select 1') as t(a int)",
    "select pg_terminate_backend(1)",
    "select query_to_xml('delete from note', true, true, '')",
]
MANY = [
    "select 1; delete from note",
    "select 1;; select 2",
    "select 1; commit; delete from note",
    "select ';'; delete from note --",
    "/* ; */ select 1; /* */ delete from note",
]


@pytest.mark.parametrize("sql", WRITES)
def test_what_is_not_a_query_is_refused_before_it_is_sent(sql: str) -> None:
    with pytest.raises(Rejected) as caught:
        _read(sql)

    assert caught.value.attr == "sql"
    assert caught.value.code in ("not_read_only", "not_understood")


@pytest.mark.parametrize("sql", MANY)
@pytest.mark.parametrize("read_only", [True, False])
def test_more_than_one_statement_is_refused(sql: str, read_only: bool) -> None:
    with pytest.raises(Rejected) as caught:
        _read(sql, read_only=read_only)

    assert caught.value.code == "not_one_statement"


@pytest.mark.parametrize(
    "sql", ["begin", "commit", "rollback", "copy note to '/tmp/x'", "start transaction", "END", "savepoint a"]
)
def test_transactions_and_copy_are_refused_for_writers_too(sql: str) -> None:
    with pytest.raises(Rejected):
        _read(sql, read_only=False)


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- nothing", "select 'a\x00b'"])
def test_nothing_is_not_a_statement(sql: str) -> None:
    with pytest.raises(Rejected) as caught:
        _read(sql)

    assert caught.value.code == "required"


def test_what_is_not_sql_says_where_and_repeats_nothing() -> None:
    with pytest.raises(Rejected) as caught:
        _read("select 1 from\nwhere where secret-value (")

    assert "secret" not in caught.value.detail
    assert caught.value.code == "not_understood"


def test_a_statement_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(Rejected):
        _read("select " + "(" * 20_000 + "1" + ")" * 20_000)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1.10"), 1.1),
        (Decimal("3.00"), 3),
        (Decimal("0.1"), 0.1),
        (Decimal("12345678901234567890.5"), "12345678901234567890.5"),
        (Decimal(2**60), str(2**60)),
        (Decimal("NaN"), "NaN"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (b"\x00\xff", "AP8="),
        (memoryview(b"a"), "YQ=="),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([Decimal("1"), None], [1, None]),
        ({"a": b""}, {"a": ""}),
        (True, True),
    ],
)
def test_values_become_json_without_losing_digits(value: Any, shown: Any) -> None:
    assert json_value(value) == shown
    assert type(json_value(value)) is type(shown)
