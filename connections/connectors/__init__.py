"""The table of connection types. Others import this package, never a module inside it."""

from __future__ import annotations

from connections.connectors.base import (
    Column,
    Config,
    Connector,
    ConnectorFailed,
    ForeignKey,
    Index,
    NotSupported,
    Phase,
    Query,
    Result,
    Table,
    TestResult,
)
from connections.connectors.configs import merged, read_config, split
from connections.connectors.files import allow_files_under
from connections.connectors.own import know_own_database
from connections.connectors.parameters import parameter_names, without_parameters
from connections.sqlreads import Read
from connections.sqlreads import reads_of as sql_reads_of
from mcp_site.core.registry import Registry

CONNECTORS: Registry[Connector] = Registry(
    {
        "postgresql": "connections.connectors.postgresql:PostgreSQL",
        "mysql": "connections.connectors.mysql:MySQL",
        "sqlite": "connections.connectors.sqlite:SQLite",
        "duckdb": "connections.connectors.duckdb:DuckDB",
        "redis": "connections.connectors.redis:Redis",
        "mssql": "connections.connectors.mssql:MSSQL",
        "oracle": "connections.connectors.oracle:Oracle",
        "snowflake": "connections.connectors.snowflake:Snowflake",
        "bigquery": "connections.connectors.bigquery:BigQuery",
        "clickhouse": "connections.connectors.clickhouse:ClickHouse",
        "trino": "connections.connectors.trino:Trino",
        "mongodb": "connections.connectors.mongodb:MongoDB",
        "openai": "connections.connectors.openai:OpenAI",
        "secret": "connections.connectors.secret:Secret",
    },
    group="mcp_panel.connectors",
)


def get(name: str) -> Connector:
    """Return the connector called `name`. Raises UnknownPlugin."""
    return CONNECTORS.get(name)


def all_connectors() -> list[Connector]:
    """Return every connector in the order of the table."""
    return CONNECTORS.all()


def reads_of(name: str, sql: str) -> tuple[Read, ...]:
    """Return what a statement reads of a connection of the type `name`; nothing where that is no SQL."""
    dialect = get(name).dialect if name in CONNECTORS else ""
    return sql_reads_of(without_parameters(sql, dialect), dialect) if dialect else ()


__all__ = [
    "CONNECTORS",
    "Column",
    "Config",
    "Connector",
    "ConnectorFailed",
    "ForeignKey",
    "Index",
    "NotSupported",
    "Phase",
    "Query",
    "Result",
    "Table",
    "TestResult",
    "all_connectors",
    "allow_files_under",
    "get",
    "know_own_database",
    "merged",
    "parameter_names",
    "read_config",
    "reads_of",
    "split",
]
