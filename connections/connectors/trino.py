"""Trino, through its own client over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

import sqlalchemy
from pydantic import Field

from connections.connectors import base
from connections.connectors.server import ConnectSeconds, HostConfig, StatementSeconds
from connections.connectors.warehouse import WarehouseConnector

_PORTS = {"http": 80, "https": 443}


class TrinoConfig(HostConfig):
    """Where the coordinator is, which catalog, and who logs in."""

    port: int = Field(default=443, ge=1, le=65535)
    catalog: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")
    user: str = Field(min_length=1, max_length=128)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    https: bool = Field(default=True, title="HTTPS", description="The certificate is checked. A password needs it.")
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class Trino(WarehouseConnector):
    """A Trino coordinator."""

    name: ClassVar[str] = "trino"
    label: ClassVar[str] = "Trino"
    Config: ClassVar[type[base.Config]] = TrinoConfig
    dialect: ClassVar[str] = "trino"
    modules: ClassVar[tuple[str, ...]] = ("trino",)
    package: ClassVar[str] = "trino"
    version: ClassVar[str] = "select node_version from system.runtime.nodes where coordinator limit 1"
    catalog: ClassVar[str] = """
select c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.is_nullable, c.column_default
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
where c.table_schema <> 'information_schema'
order by c.table_schema, c.table_name, c.ordinal_position
"""

    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the coordinator's own host and port."""
        return config.host, config.port

    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the judged address; with HTTPS the name, since the client knows no other for the certificate."""
        host = config.host if config.https else address
        return sqlalchemy.URL.create("trino", config.user, config.password or None, host, config.port, config.catalog)

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return the scheme and time limits."""
        return {
            "http_scheme": "https" if config.https else "http",
            "http_session": _session_to(config),
            "request_timeout": float(config.connect_timeout),
            "session_properties": {"query_max_run_time": f"{max(1, int(seconds))}s"},
        }


def _session_to(config: Any) -> Any:
    """Return a session that speaks to the coordinator's port alone: its answers name the address of the next page."""
    import requests

    found: Any = requests.Session()
    plain, seen = found.send, set()

    def send(request: Any, **options: Any) -> Any:
        parts = urlsplit(str(request.url))
        # The first request goes to the judged host; what the server answers leads nowhere else.
        seen.add(parts.hostname)
        if (parts.port or _PORTS.get(parts.scheme)) != config.port or len(seen) > 1:
            raise requests.exceptions.InvalidURL("the coordinator's answer leads somewhere else")
        return plain(request, **{**options, "allow_redirects": False})

    found.send = send
    # No proxy and no password file of the panel's own environment.
    found.trust_env = False
    return found
