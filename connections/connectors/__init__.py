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
from connections.connectors.parameters import parameter_names
from mcp_site.core.registry import Registry

CONNECTORS: Registry[Connector] = Registry(
    {
        "postgresql": "connections.connectors.postgresql:PostgreSQL",
        "mysql": "connections.connectors.mysql:MySQL",
        "sqlite": "connections.connectors.sqlite:SQLite",
        "duckdb": "connections.connectors.duckdb:DuckDB",
        "redis": "connections.connectors.redis:Redis",
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
    "merged",
    "parameter_names",
    "read_config",
    "split",
]
