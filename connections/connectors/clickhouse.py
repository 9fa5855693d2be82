"""ClickHouse, through clickhouse-connect over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import sqlalchemy
from pydantic import Field

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, HostConfig, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector


class ClickHouseConfig(HostConfig):
    """Where the server is and who logs in."""

    port: int = Field(default=8443, ge=1, le=65535)
    database: str = Field(default="default", min_length=1, max_length=128)
    user: str = Field(default="default", min_length=1, max_length=128)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    https: bool = Field(default=True, title="HTTPS", description="The certificate is checked.")
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class ClickHouse(WarehouseConnector):
    """A ClickHouse server."""

    name: ClassVar[str] = "clickhouse"
    label: ClassVar[str] = "ClickHouse"
    Config: ClassVar[type[base.Config]] = ClickHouseConfig
    dialect: ClassVar[str] = "clickhouse"
    modules: ClassVar[tuple[str, ...]] = ("clickhouse_connect",)
    package: ClassVar[str] = "clickhouse-connect"
    version: ClassVar[str] = "select version()"
    catalog: ClassVar[str] = """
select c.database, c.table, t.engine, c.name, c.type, if(startsWith(c.type, 'Nullable'), 'YES', 'NO'),
       nullIf(c.default_expression, '')
from system.columns c join system.tables t on t.database = c.database and t.name = c.table
where c.database not in ('system', 'INFORMATION_SCHEMA', 'information_schema')
order by c.database, c.table, c.position
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the server's own host and port."""
        return config.host, config.port

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the judged address; the name stays for TLS, in the arguments."""
        return sqlalchemy.URL.create(
            "clickhousedb+connect", config.user, config.password, address, config.port, config.database
        )

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return TLS by the config's name, time limits, and the server's own read-only mode."""
        return {
            "secure": config.https,
            "verify": True,
            "pool_mgr": _pool(config),
            "connect_timeout": config.connect_timeout,
            "send_receive_timeout": int(seconds) + 5,
            # 2: reading, with settings; 1 would refuse those that the driver itself sends.
            "ch_readonly": 2,
            "ch_max_execution_time": max(1, int(seconds)),
        }


def _pool(config: Any) -> Any:
    """Return connections that check the certificate against the config's name, follow no redirect, use no proxy."""
    from clickhouse_connect.driver.httputil import get_pool_manager

    names = {"assert_hostname": config.host, "server_hostname": config.host} if config.https else {}
    pool = get_pool_manager(verify=True, **names)
    pool.urlopen = partial(pool.urlopen, redirect=False)
    return pool
