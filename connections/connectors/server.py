"""The settings that all database servers share. There is no URL and no free parameter: each field is checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from connections.connectors.base import Config, Query
from connections.connectors.tls import Tls

ConnectSeconds = Annotated[int, Field(ge=1, le=60, description="Seconds to reach the server and log in.")]
StatementSeconds = Annotated[
    int, Field(ge=0, le=86_400, description="Seconds that any statement may run here; 0 is no limit of its own.")
]


class HostConfig(Config):
    """Where the server is."""

    host: str = Field(min_length=1, max_length=253, description="A name or an address, not a socket.")
    port: int = Field(ge=1, le=65535)

    @field_validator("host")
    @classmethod
    def _plain_host(cls, host: str) -> str:
        if any(character in host for character in "/,@ \t\r\n"):
            raise ValueError("one host name or address, without scheme, user or path")
        return host


class ServerConfig(HostConfig):
    """Where the server is and who logs in."""

    database: str = Field(min_length=1, max_length=63)
    user: str = Field(min_length=1, max_length=63)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    tls: Tls = Field(default=Tls(), title="TLS")
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0

    def seconds_for(self, query: Query) -> float:
        """Return how long the query may run: the shorter of its own time and the connection's."""
        return min(query.timeout, self.statement_timeout or query.timeout)
