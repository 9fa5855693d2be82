"""Snowflake, through snowflake-sqlalchemy."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy
from pydantic import Field

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector

_NAME = r"^[A-Za-z0-9_$-]*$"


class SnowflakeConfig(base.Config):
    """Which account, database and warehouse, and who logs in."""

    account: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        description="As in myorg-account1.",
    )
    database: str = Field(min_length=1, max_length=255, pattern=_NAME)
    warehouse: str = Field(default="", max_length=255, pattern=_NAME)
    role: str = Field(default="", max_length=255, pattern=_NAME)
    user: str = Field(min_length=1, max_length=255)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class Snowflake(WarehouseConnector):
    """A Snowflake account."""

    name: ClassVar[str] = "snowflake"
    label: ClassVar[str] = "Snowflake"
    Config: ClassVar[type[base.Config]] = SnowflakeConfig
    dialect: ClassVar[str] = "snowflake"
    modules: ClassVar[tuple[str, ...]] = ("snowflake.sqlalchemy",)
    package: ClassVar[str] = "snowflake-sqlalchemy"
    version: ClassVar[str] = "select current_version()"
    catalog: ClassVar[str] = """
select c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.is_nullable, c.column_default
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
where c.table_schema <> 'INFORMATION_SCHEMA'
order by c.table_schema, c.table_name, c.ordinal_position
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the account's address at the vendor, which no config can lead elsewhere."""
        return f"{config.account}.snowflakecomputing.com", 443

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the account; the driver finds the vendor's servers by itself."""
        chosen = {name: getattr(config, name) for name in ("warehouse", "role") if getattr(config, name)}
        return sqlalchemy.URL.create(
            "snowflake", config.user, config.password, config.account, database=config.database, query=chosen
        )

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return time limits; nothing is kept in the home of the panel's user."""
        return {
            "login_timeout": config.connect_timeout,
            "network_timeout": int(seconds) + 5,
            "session_parameters": {"STATEMENT_TIMEOUT_IN_SECONDS": max(1, int(seconds))},
            "client_store_temporary_credential": False,
        }
