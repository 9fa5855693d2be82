"""MySQL and MariaDB: test, scan and query, one prepared statement at a time, read-only by the server's own word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, ClassVar

import pymysql
from pydantic import Field

from connections.connectors import base, statements
from connections.connectors.base import ConnectorFailed, Query, Result, Table, TestResult
from connections.connectors.mysql_catalog import scan
from connections.connectors.mysql_protocol import Prepared, Session, type_name
from connections.connectors.mysql_session import Handshake, NoTls, ask, failure, open_session, session, watch
from connections.connectors.parameters import replace_parameters
from connections.connectors.phases import Stopped, Trial, open_socket, resolve
from connections.connectors.rows import collect
from connections.connectors.server import ServerConfig
from connections.connectors.tls import context_of
from connections.connectors.watch import Watch
from mcp_site.core.errors import Problem, Rejected
from mcp_site.core.masking import Masker

_SCAN_SECONDS = 120.0
_WRITES = frozenset(
    {"INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "SUPER", "FILE", "ALL PRIVILEGES", "CREATE VIEW"}
)
_WRITE_WARNING = (
    "This login can write. Queries run read-only all the same; a login with SELECT alone is the safer choice."
)


class MySQLConfig(ServerConfig):
    """Where the server is and who logs in."""

    port: int = Field(default=3306, ge=1, le=65535)
    database: str = Field(min_length=1, max_length=64)
    user: str = Field(min_length=1, max_length=128)


class MySQL(base.Connector):
    """A MySQL or MariaDB database."""

    name: ClassVar[str] = "mysql"
    label: ClassVar[str] = "MySQL and MariaDB"
    Config: ClassVar[type[base.Config]] = MySQLConfig
    dialect: ClassVar[str] = "mysql"
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def test(self, config: Any) -> TestResult:
        """Try name, port, TLS, login and one query, in this order, on one connection.

        Not on two: a server bars a host after too many connections that were dropped before the login.
        """
        with Trial(Masker([config.password])) as trial:
            self._try(config, trial)
        return trial.result()

    def _try(self, config: Any, trial: Trial) -> None:
        addresses = trial.resolve(config.host, config.port)
        with trial.phase("connect"):
            raw = open_socket(addresses, config.port, config.connect_timeout)
        conn = _log_in(config, raw, trial)
        try:
            with trial.phase("query"):
                self._ask(conn, config, trial)
        finally:
            conn.abandon()

    def _ask(self, conn: Session, config: Any, trial: Trial) -> None:
        conn.limit_reads(10.0)
        try:
            ((version,),) = ask(conn, "select version()")
            trial.server_version = f"{'MariaDB' if 'maria' in version.lower() else 'MySQL'} {version}"
            if _can_write(conn):
                trial.warnings.append(_WRITE_WARNING)
        except pymysql.Error as exc:
            raise failure(exc, config) from exc

    def scan(self, config: Any) -> list[Table]:
        """Return the tables and views of the database in four queries, however many there are."""
        with session(config, resolve(config.host, config.port)) as conn:
            conn.limit_reads(_SCAN_SECONDS)
            return scan(conn, config.database)

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement, prepared by the server, which takes one at a time and says whether rows come back.

        Read-only: what returns no rows is not run; the rest runs in a READ ONLY transaction in a session whose
        transactions are all read-only, through a server-side cursor. Else a transaction that is committed.
        """
        statement = statements.read(query.sql, query.params, dialect="mysql", read_only=query.read_only)
        sql, params = _with_marks(statement, query.params)
        addresses, seconds = resolve(config.host, config.port), config.seconds_for(query)
        with (
            session(config, addresses) as conn,
            watch(conn, config, addresses, seconds, query.cancelled) as watching,
            _naming_the_reason(watching),
        ):
            _limit(conn, seconds, query)
            if query.read_only:
                return _read(conn, sql, params, query, watching)
            return _write(conn, sql, params, query, watching)


def _log_in(config: Any, raw: Any, trial: Trial) -> Session:
    """Log in, and note TLS and login as two phases. Raises Stopped."""
    start = perf_counter()
    shaking = None
    try:
        shaking = Handshake(context_of(config.tls)) if config.tls.mode != "disable" else None
        conn = open_session(config, raw, shaking)
    except ConnectorFailed as exc:
        raw.close()
        if shaking is not None and shaking.version:
            trial.add("tls", True, shaking.seconds, shaking.version)
        name = "tls" if isinstance(exc, NoTls) or (shaking is None and config.tls.mode != "disable") else "authenticate"
        trial.add(name, False, perf_counter() - start, exc.detail)
        raise Stopped from exc
    spent = perf_counter() - start
    if shaking is not None:
        detail = shaking.version or "not encrypted: the server offers no TLS"
        trial.add("tls", True, shaking.seconds, detail)
        spent -= shaking.seconds
    trial.add("authenticate", True, spent)
    return conn


@contextmanager
def _naming_the_reason(watching: Watch) -> Iterator[None]:
    """Say that a query was cancelled or out of time, rather than how the server or driver put it."""
    try:
        yield
    except (pymysql.Error, RuntimeError, ValueError, AttributeError):
        watching.check()
        raise


def _can_write(conn: Session) -> bool:
    """Tell whether any of the login's privileges writes, by the first words of each grant."""
    for (grant,) in ask(conn, "show grants"):
        granted = str(grant).upper().removeprefix("GRANT ").partition(" ON ")[0]
        if _WRITES.intersection(part.partition("(")[0].strip() for part in granted.split(",")):
            return True
    return False


def _limit(conn: Session, seconds: float, query: Query) -> None:
    """Let the server end the query by itself, and make a plain SELECT stop at the cap."""
    if "maria" in conn.server_version.lower():
        ask(conn, "set session max_statement_time = %s", (seconds + 1,))
    else:
        ask(conn, "set session max_execution_time = %s", (int(seconds * 1000) + 1000,))
    if query.read_only:
        ask(conn, "set session sql_select_limit = %s", (query.max_rows + 1,))


def _with_marks(statement: statements.Statement, values: Any) -> tuple[str, list[Any]]:
    """Return the text with `?` for each parameter, and the values in that order; a list becomes `(?, ?)`."""
    params: list[Any] = []

    def mark(name: str) -> str:
        value = values[name]
        if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
            params.extend(_parameter(name, item) for item in value)
            return f"({', '.join('?' for _ in value) or 'null'})"
        params.append(_parameter(name, value))
        return "?"

    return replace_parameters(statement.sql, "mysql", mark), params


def _parameter(name: str, value: Any) -> Any:
    text = json.dumps(value) if isinstance(value, dict | list) else value
    if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
        raise Rejected([Problem(f"params.{name}", "invalid", "half a character (a lone surrogate)")])
    return text


def _prepared(conn: Session, sql: str, params: list[Any]) -> Prepared:
    prepared = conn.prepare(sql)
    if prepared.parameters != len(params):
        raise Rejected("the server reads the parameters differently; quote text with '", attr="sql")
    return prepared


def _read(conn: Session, sql: str, params: list[Any], query: Query, watching: Watch) -> Result:
    warnings = (_WRITE_WARNING,) if _can_write(conn) else ()
    ask(conn, "set session transaction read only")
    ask(conn, "start transaction read only")
    prepared = _prepared(conn, sql, params)
    if not prepared.columns:
        raise Rejected("only a query that returns rows", attr="sql", code="not_read_only")
    if not conn.is_read_only():
        raise ConnectorFailed("The server did not begin a read-only transaction.")
    conn.execute(prepared, params, cursor=True)
    rows, truncated = collect(lambda count: conn.fetch(prepared, count), query, watching.check)
    # No end of the transaction: the session is dropped, which rolls back.
    return Result(columns=_columns(prepared), rows=tuple(rows), truncated=truncated, warnings=warnings)


def _write(conn: Session, sql: str, params: list[Any], query: Query, watching: Watch) -> Result:
    ask(conn, "start transaction")
    prepared = _prepared(conn, sql, params)
    conn.execute(prepared, params, cursor=False)
    watching.check()
    if not prepared.columns:
        ask(conn, "commit")
        return Result(columns=({"name": "rows_affected", "type": "bigint"},), rows=([prepared.affected],))
    rows, truncated = collect(lambda count: conn.fetch(prepared, count), query, watching.check)
    while not prepared.is_done:
        conn.fetch(prepared, 1000)
        watching.check()
    ask(conn, "commit")
    return Result(columns=_columns(prepared), rows=tuple(rows), truncated=truncated)


def _columns(prepared: Prepared) -> tuple[dict[str, str], ...]:
    return tuple({"name": column.name, "type": type_name(column)} for column in prepared.columns)
