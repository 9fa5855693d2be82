"""Redis and Valkey: keys and types as the schema, and commands that the server itself says only read."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from connections.connectors import base, redis_commands
from connections.connectors.base import ConnectorFailed, Query, Result, Table, TestResult
from connections.connectors.phases import Trial, open_socket, resolve
from connections.connectors.redis_catalog import scan
from connections.connectors.redis_session import RedisSession, log_in, secure, session, text_of
from connections.connectors.rows import collect
from connections.connectors.server import ConnectSeconds, HostConfig
from connections.connectors.tls import Tls
from connections.connectors.watch import Watch
from mcp_site.core.errors import Rejected
from mcp_site.core.masking import Masker

_TEST_BYTES, _SCAN_BYTES = 1024 * 1024, 64 * 1024 * 1024
_SCAN_SECONDS = 60.0


class RedisConfig(HostConfig):
    """Where the server is, which of its databases, and who logs in."""

    port: int = Field(default=6379, ge=1, le=65535)
    database: int = Field(default=0, ge=0, le=1023, description="The number of the database.")
    user: str = Field(default="", max_length=128, description="Empty for the server's default user.")
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    tls: Tls = Field(default=Tls(mode="disable"), title="TLS")
    connect_timeout: ConnectSeconds = 10

    @field_validator("tls")
    @classmethod
    def _all_or_nothing(cls, tls: Tls) -> Tls:
        if tls.mode == "prefer":
            raise ValueError("this protocol can't ask for TLS first: disable, require, verify-ca or verify-full")
        return tls


class Redis(base.Connector):
    """A Redis or Valkey server of version 6 or later."""

    name: ClassVar[str] = "redis"
    label: ClassVar[str] = "Redis and Valkey"
    Config: ClassVar[type[base.Config]] = RedisConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def test(self, config: Any) -> TestResult:
        """Try name, port, TLS, login and one command, in this order."""
        with Trial(Masker([config.password])) as trial:
            self._try(config, trial)
        return trial.result()

    def _try(self, config: Any, trial: Trial) -> None:
        addresses = trial.resolve(config.host, config.port)
        with trial.phase("connect"):
            raw = open_socket(addresses, config.port, config.connect_timeout)
        with raw:
            if config.tls.mode != "disable":
                with trial.phase("tls") as note:
                    raw = secure(config, raw)
                    note.detail = str(getattr(raw, "version", str)() or "")
            with raw:
                with trial.phase("authenticate"):
                    conn = log_in(config, raw, _TEST_BYTES)
                with trial.phase("query") as note:
                    note.detail = f"{conn.ask('DBSIZE')} keys"
                    trial.server_version = _version(conn)

    def scan(self, config: Any) -> list[Table]:
        """Return a table for each pattern of keys; of many keys a part is looked at, the rest is estimated."""
        with session(config, resolve(config.host, config.port), _SCAN_BYTES) as conn:
            conn.limit_reads(_SCAN_SECONDS)
            return scan(conn, config.database)

    def query(self, config: Any, query: Query) -> Result:
        """Run one command that reads. There is no way to write, whatever `read_only` says."""
        if not query.read_only:
            raise Rejected("connections of this type only read", attr="read_only", code="not_read_only")
        words = redis_commands.read(query.sql, query.params)
        addresses = resolve(config.host, config.port)
        with session(config, addresses, query.max_bytes + _TEST_BYTES) as conn:
            conn.limit_reads(query.timeout)
            with Watch(query.timeout, query.cancelled, cancel=lambda: False, cut=conn.cut) as watching:
                try:
                    _require_read_only(conn, words)
                    answer = text_of(conn.ask(*words))
                except ConnectorFailed:
                    watching.check()
                    raise
        return _table(answer, query)


def _require_read_only(conn: RedisSession, words: list[str]) -> None:
    """Ask the server whether the command only reads. Raises Rejected where it says otherwise."""
    (answer,) = conn.ask_all([("COMMAND", "INFO", redis_commands.name_of(words))])
    if not isinstance(answer, list) or not answer or answer[0] is None:
        # A login may not ask, or the server has no such command; the list of names stands alone then.
        return
    flags = {str(flag) for flag in answer[0][2]}
    if "readonly" not in flags or "write" in flags:
        raise Rejected("the server says that this command does not only read", attr="sql", code="not_read_only")


def _version(conn: RedisSession) -> str:
    (answer,) = conn.ask_all([("INFO", "server")])
    fields = dict(line.split(":", 1) for line in str(answer).splitlines() if ":" in line)
    for key, label in (("valkey_version", "Valkey"), ("redis_version", "Redis")):
        if key in fields:
            return f"{label} {fields[key].strip()}"
    return ""


def _table(answer: Any, query: Query) -> Result:
    """Return an answer as rows: a map as field and value, a list as values, the rest as one value."""
    columns: tuple[str, ...]
    if isinstance(answer, dict):
        columns, rows = ("field", "value"), [[name, value] for name, value in answer.items()]
    elif isinstance(answer, list):
        columns, rows = ("value",), [[value] for value in answer]
    else:
        columns, rows = ("value",), [[answer]]
    position = 0

    def fetch(count: int) -> list[list[Any]]:
        nonlocal position
        found = rows[position : position + count]
        position += len(found)
        return found

    kept, truncated = collect(fetch, query, lambda: None)
    return Result(
        columns=tuple({"name": name, "type": "string"} for name in columns), rows=tuple(kept), truncated=truncated
    )
