"""Microsoft SQL Server and Azure SQL, through pymssql."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy
from pydantic import Field

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, HostConfig, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector


class MSSQLConfig(HostConfig):
    """Where the server is and who logs in."""

    port: int = Field(default=1433, ge=1, le=65535)
    database: str = Field(min_length=1, max_length=128)
    user: str = Field(min_length=1, max_length=128)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class MSSQL(WarehouseConnector):
    """A SQL Server database."""

    name: ClassVar[str] = "mssql"
    label: ClassVar[str] = "SQL Server"
    Config: ClassVar[type[base.Config]] = MSSQLConfig
    dialect: ClassVar[str] = "tsql"
    modules: ClassVar[tuple[str, ...]] = ("pymssql",)
    package: ClassVar[str] = "pymssql"
    version: ClassVar[str] = "select serverproperty('ProductVersion')"
    catalog: ClassVar[str] = """
select c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.is_nullable, c.column_default
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
order by c.table_schema, c.table_name, c.ordinal_position
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the server's own host and port."""
        return config.host, config.port

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the judged address; the driver does not check names."""
        return sqlalchemy.URL.create(
            "mssql+pymssql", config.user, config.password, address, config.port, config.database
        )

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return the driver's time limits and its declared wish to read only, which replicas heed."""
        return {"login_timeout": config.connect_timeout, "timeout": max(1, int(seconds)), "read_only": True}
