"""Oracle Database, through oracledb in its thin mode: no client libraries, no tnsnames.ora."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy
from pydantic import Field

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, HostConfig, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector


class OracleConfig(HostConfig):
    """Where the server is and who logs in."""

    port: int = Field(default=1521, ge=1, le=65535)
    service: str = Field(
        min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.$#-]+$", description="The service's name."
    )
    user: str = Field(min_length=1, max_length=128)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class Oracle(WarehouseConnector):
    """An Oracle service."""

    name: ClassVar[str] = "oracle"
    label: ClassVar[str] = "Oracle"
    Config: ClassVar[type[base.Config]] = OracleConfig
    dialect: ClassVar[str] = "oracle"
    modules: ClassVar[tuple[str, ...]] = ("oracledb",)
    package: ClassVar[str] = "oracledb"
    version: ClassVar[str] = "select version from product_component_version where rownum = 1"
    catalog: ClassVar[str] = """
select c.owner, c.table_name, case when v.view_name is null then 'TABLE' else 'VIEW' end, c.column_name, c.data_type,
       c.nullable, null
from all_tab_columns c
join all_users u on u.username = c.owner and u.oracle_maintained = 'N'
left join all_views v on v.owner = c.owner and v.view_name = c.table_name
order by c.owner, c.table_name, c.column_id
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the server's own host and port."""
        return config.host, config.port

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the judged address and the service's name."""
        return sqlalchemy.URL.create(
            "oracle+oracledb",
            config.user,
            config.password,
            address,
            config.port,
            query={"service_name": config.service},
        )

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return the time to connect."""
        return {"tcp_connect_timeout": float(config.connect_timeout)}

    def prepare(self, conn: sqlalchemy.Connection, seconds: float) -> None:
        """End calls that take too long, and begin a transaction that the server itself holds to reading."""
        setattr(conn.connection.driver_connection, "call_timeout", int(seconds * 1000))  # noqa: B010
        conn.execute(sqlalchemy.text("set transaction read only"))
