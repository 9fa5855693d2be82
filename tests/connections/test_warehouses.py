"""The types behind extras, as far as they can be tried without a server: config, address, catalog, refusals.

Where a driver is installed, SQLAlchemy must also make an engine of what it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from rest_framework.test import APIClient

from accounts.models import User
from connections import connectors
from connections.connectors import ConnectorFailed, Query
from connections.connectors.mongodb import read_command, table_of
from connections.connectors.warehouse import WarehouseConnector, bound, tables_of
from mcp_site.core.errors import Rejected

PASSWORD = "warehouse/secret@1"
HOST = {"host": "127.0.0.1", "port": 9, "user": "u", "password": PASSWORD, "connect_timeout": 1}
KEY = {"type": "service_account", "private_key": "x", "token_uri": "https://oauth2.googleapis.com/token"}
CONFIGS: dict[str, dict[str, Any]] = {
    "mssql": {**HOST, "database": "d"},
    "oracle": {**HOST, "service": "s.example"},
    "clickhouse": {**HOST, "https": False},
    "trino": {**HOST, "catalog": "c", "https": False},
    "snowflake": {"account": "org-a1", "database": "D", "user": "u", "password": PASSWORD, "role": "READER"},
    "bigquery": {"project": "proj-1", "dataset": "d", "key": json.dumps(KEY)},
}
URLS = {
    "mssql": "mssql+pymssql://u:***@203.0.113.5:9/d",
    "oracle": "oracle+oracledb://u:***@203.0.113.5:9?service_name=s.example",
    "clickhouse": "clickhousedb+connect://u:***@203.0.113.5:9/default",
    "trino": "trino://u:***@203.0.113.5:9/c",
    "snowflake": "snowflake://u:***@org-a1/D?role=READER",
    "bigquery": "bigquery://proj-1/d",
}
BY_NAME = [(name, connectors.get(name)) for name in CONFIGS]


def _config(name: str, **changes: Any) -> Any:
    return connectors.read_config(connectors.get(name), {**CONFIGS[name], **changes})


@pytest.mark.parametrize(("name", "connector"), BY_NAME)
def test_the_address_is_made_of_the_checked_fields_and_leads_to_the_judged_address(name: str, connector: Any) -> None:
    url = connector.url(_config(name), "203.0.113.5")

    assert url.render_as_string(hide_password=True) == URLS[name]
    assert url.password in (PASSWORD, None)
    if connector.missing() is None:
        options = connector.engine_options(_config(name))
        assert sqlalchemy.create_engine(url, connect_args=connector.arguments(_config(name), 30.0), **options)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {"url": "x://y"}) for name in CONFIGS),
        *((name, {"connect_timeout": 0}) for name in CONFIGS),
        *((name, {"host": "a/b"}) for name in ("mssql", "oracle", "clickhouse", "trino")),
        ("oracle", {"service": "s)(HOST=169.254.169.254"}),
        ("snowflake", {"account": "evil.example/x"}),
        ("snowflake", {"account": "a@b"}),
        ("snowflake", {"role": "R&private_key_file=/etc/passwd"}),
        ("trino", {"catalog": "c/../x"}),
        ("bigquery", {"dataset": "d`; drop"}),
        ("bigquery", {"project": "../x"}),
        ("bigquery", {"key": "not json"}),
        ("bigquery", {"key": json.dumps({**KEY, "token_uri": "http://169.254.169.254/token"})}),
        ("bigquery", {"key": json.dumps({**KEY, "type": "external_account"})}),
    ],
)
def test_odd_configs_are_refused_and_never_repeated(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        _config(name, **changes)

    assert str(caught.value.attr).startswith("config.")
    assert PASSWORD not in str(caught.value)
    assert "private_key" not in caught.value.detail


@pytest.mark.parametrize(("name", "connector"), BY_NAME)
def test_the_guard_stands_before_every_type(name: str, connector: Any, settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    settings.MCP_OWN_ADDRESS = ""
    if name in ("snowflake", "bigquery"):
        # The vendor's own address: no config can lead it elsewhere.
        assert connector.endpoint(_config(name))[0].endswith((".snowflakecomputing.com", ".googleapis.com"))
        return

    assert [(phase.name, phase.ok) for phase in connector.test(_config(name)).phases] == [("resolve", False)]
    for use in (
        lambda: connector.scan(_config(name)),
        lambda: connector.query(_config(name), Query(sql="select 1")),
    ):
        with pytest.raises(ConnectorFailed) as caught:
            use()
        assert caught.value.code == "egress_refused"


@pytest.mark.parametrize(("name", "connector"), BY_NAME)
@pytest.mark.parametrize(
    "sql",
    [
        "delete from t",
        "select 1; delete from t",
        "drop table t",
        "insert into t select 1",
        "with x as (select 1) delete from t",
    ],
)
def test_what_writes_is_refused_before_it_is_sent(name: str, connector: Any, sql: str) -> None:
    with pytest.raises(Rejected):
        connector.query(_config(name), Query(sql=sql))


@pytest.mark.parametrize(("name", "connector"), BY_NAME)
def test_every_catalog_query_is_one_query_of_seven_columns(name: str, connector: WarehouseConnector) -> None:
    import sqlglot

    (tree,) = sqlglot.parse(connector.catalog_of(_config(name)), dialect=connector.dialect)

    assert tree is not None
    assert len(tree.expressions) == 7


def test_catalog_rows_become_tables() -> None:
    rows = [
        ("b", "t", "BASE TABLE", "id", "int", "NO", None),
        ("a", "v", "VIEW", "x", "text", "YES", "'y'"),
        ("b", "t", "BASE TABLE", "name", "text", "Y", None),
    ]

    view, table = tables_of(rows)

    assert (view.schema, view.name, view.kind, view.columns[0].default) == ("a", "v", "view", "'y'")
    assert [(column.name, column.nullable) for column in table.columns] == [("id", False), ("name", True)]


@pytest.mark.parametrize(
    ("sql", "dialect", "wanted"),
    [
        ("select ':a', :b::text", "postgres", r"select '\:a', :b\:\:text"),
        ("select [x:y], :b -- :c", "tsql", r"select [x\:y], :b -- \:c"),
        ("select '\\':a', :b # :c", "bigquery", r"select '\':a', :b # \:c".replace("':a", r"'\:a")),
    ],
)
def test_only_parameters_are_parameters_to_sqlalchemy_too(sql: str, dialect: str, wanted: str) -> None:
    text = bound(sql, dialect)

    assert text == wanted
    assert list(sqlalchemy.text(text)._bindparams) == ["b"]


@pytest.mark.django_db
def test_each_type_says_whether_its_driver_is_here_and_what_to_install(
    ben: User, api: Callable[[User | None], APIClient]
) -> None:
    found = {one["name"]: one for one in api(ben).get("/api/v1/connection-types").json()["results"]}

    for name in [*CONFIGS, "mongodb"]:
        assert found[name]["installed"] is (found[name]["install"] is None)
        assert found[name]["capabilities"] == ["query", "scan", "test"]
    assert all(found[name]["installed"] for name in ("postgresql", "mysql", "sqlite", "duckdb", "redis"))
    missing = [one for one in found.values() if not one["installed"]]
    for one in missing:
        config = {**CONFIGS, "mongodb": {**HOST, "database": "d"}}[one["name"]]
        body = {"slug": one["name"], "name": "W", "type": one["name"], "config": config}
        assert api(ben).post("/api/v1/connections", body, format="json").status_code == 201
        refused = api(ben).post(f"/api/v1/connections/{one['name']}/test")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "driver_missing")
        assert one["install"] in refused.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "select 1",
        "[]",
        "{}",
        '{"insert": "t", "documents": []}',
        '{"delete": "t"}',
        '{"mapReduce": "t"}',
        '{"eval": "1"}',
        '{"filter": {}, "find": "t"}',
        '{"aggregate": "t", "pipeline": [{"$out": "u"}]}',
        '{"aggregate": "t", "pipeline": [{"$facet": {"a": [{"$merge": {"into": "u"}}]}}]}',
        '{"find": "t", "filter": {"$where": "sleep(1000)"}}',
        '{"find": "t", "filter": {"$expr": {"$function": {"body": "x"}}}}',
    ],
)
def test_what_mongodb_would_write_or_run_as_code_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        read_command(text, {})


def test_mongodb_parameters_are_whole_values() -> None:
    text = '{"find": "t", "filter": {"age": {"$gt": ":age"}, "note": "a :age", "tags": [":tag"]}}'

    assert read_command(text, {"age": 30, "tag": {"$ne": 1}})["filter"] == {
        "age": {"$gt": 30},
        "note": "a :age",
        "tags": [{"$ne": 1}],
    }
    with pytest.raises(Rejected) as caught:
        read_command(text, {"age": 1, "other": 2})
    assert [problem.path for problem in caught.value.problems] == ["params.tag", "params.other"]


def test_a_collection_becomes_a_table() -> None:
    validator = {"$jsonSchema": {"required": ["email"], "properties": {"email": {"bsonType": "string"}, "age": {}}}}
    index = {"name": "by_email", "key": {"email": 1}, "unique": True}

    table = table_of({"name": "people", "type": "collection", "options": {"validator": validator}}, [index], "shop")

    assert (table.schema, table.name, table.kind, table.primary_key) == ("shop", "people", "collection", ("_id",))
    assert [(one.name, one.type, one.nullable) for one in table.columns] == [
        ("_id", "", False),
        ("email", "string", False),
        ("age", "", True),
    ]
    assert (table.indexes[0].columns, table.indexes[0].unique) == (("email",), True)
