"""PostgreSQL: test, scan and query through psycopg, to the checked address, read-only by the server's own word."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

import psycopg
from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int4
from pydantic import Field

from connections.connectors import base, statements
from connections.connectors.base import Query, Result, Table, TestResult
from connections.connectors.phases import Trial, open_socket, resolve
from connections.connectors.postgresql_catalog import scan
from connections.connectors.postgresql_session import failure, session, try_tls, watch
from connections.connectors.rows import collect
from connections.connectors.server import ServerConfig
from connections.connectors.watch import Watch
from mcp_site.core.masking import Masker

Connection = psycopg.Connection[tuple[Any, ...]]

_SESSION = """
select set_config('statement_timeout', $1, true), set_config('intervalstyle', 'iso_8601', true),
       set_config('datestyle', 'ISO', true), set_config('standard_conforming_strings', 'on', true)
"""
_CAN_WRITE = """
select (select rolsuper from pg_roles where rolname = current_user)
    or has_database_privilege(current_database(), 'CREATE')
    or exists (select from pg_namespace
               where nspname !~ '^pg_' and nspname <> 'information_schema' and has_schema_privilege(oid, 'CREATE'))
    or exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'f')
                 and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
"""
_TYPE_NAMES = "select oid::bigint, format_type(oid, null) from pg_type where oid = any($1)"
_WRITE_WARNING = (
    "This login can write. Queries run read-only all the same; a role with SELECT alone is the safer choice."
)


class PostgreSQLConfig(ServerConfig):
    """Where the server is and who logs in."""

    port: int = Field(default=5432, ge=1, le=65535)


class PostgreSQL(base.Connector):
    """A PostgreSQL database."""

    name: ClassVar[str] = "postgresql"
    label: ClassVar[str] = "PostgreSQL"
    Config: ClassVar[type[base.Config]] = PostgreSQLConfig
    dialect: ClassVar[str] = "postgres"
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def test(self, config: Any) -> TestResult:
        """Try name, port, TLS, login and one query, in this order."""
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
                    note.detail = try_tls(config, raw) or "not encrypted: the server offers no TLS"
        with ExitStack() as stack:
            with trial.phase("authenticate"):
                conn = stack.enter_context(session(config, addresses))
            with trial.phase("query"):
                self._ask(conn, config, trial)

    def _ask(self, conn: Connection, config: Any, trial: Trial) -> None:
        try:
            conn.read_only = True
            with conn.transaction(force_rollback=True):
                _begin(conn, 10.0)
                row = conn.execute("select current_setting('server_version')").fetchone()
                trial.server_version = f"PostgreSQL {row[0]}" if row else ""
                if _can_write(conn):
                    trial.warnings.append(_WRITE_WARNING)
        except psycopg.Error as exc:
            raise failure(exc, config) from exc

    def scan(self, config: Any) -> list[Table]:
        """Return tables, views and what belongs to them in five catalog queries, however many tables there are."""
        with session(config, resolve(config.host, config.port)) as conn:
            conn.read_only = True
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with conn.transaction(force_rollback=True):
                _begin(conn, 120.0)
                return scan(conn)

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement.

        Read-only: a READ ONLY transaction, always rolled back, and a server-side cursor, which accepts nothing but a
        query. Else a transaction that is committed. Both speak the protocol that takes one statement at a time.
        """
        statement = statements.read(query.sql, query.params, dialect="postgres", read_only=query.read_only)
        seconds = config.seconds_for(query)
        with (
            session(config, resolve(config.host, config.port)) as conn,
            watch(conn, seconds, query.cancelled) as watching,
        ):
            conn.read_only = query.read_only
            try:
                with conn.transaction(force_rollback=query.read_only):
                    _begin(conn, seconds)
                    warnings = (_WRITE_WARNING,) if query.read_only and _can_write(conn) else ()
                    return _run(conn, statement, query, watching, warnings)
            except psycopg.Error as exc:
                watching.check()
                raise failure(exc, config) from exc


def _begin(conn: Connection, timeout: float) -> None:
    psycopg.RawCursor(conn).execute(_SESSION, (str(max(1, int(timeout * 1000))),))


def _can_write(conn: Connection) -> bool:
    row = conn.execute(_CAN_WRITE).fetchone()
    return bool(row and row[0])


def _parameter(value: Any) -> Any:
    """Return a parameter as the driver takes it: lists of plain values as arrays, objects as jsonb.

    Whole numbers get the type that they would have in the text; the driver's own choice, smallint, fits few functions.
    """
    if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return Int4(value)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict | list) for item in value)):
        return Jsonb(value)
    return value


def _run(
    conn: Connection, statement: statements.Statement, query: Query, watch: Watch, warnings: tuple[str, ...]
) -> Result:
    sql = statements.with_numbers(statement, "postgres")
    params = [_parameter(query.params[name]) for name in statement.names]
    if query.read_only or statement.is_query:
        with psycopg.RawServerCursor(conn, "mcp_query", scrollable=False) as cursor:
            cursor.execute(sql, params)
            return _collect(conn, cursor, query, watch, warnings)
    with psycopg.RawCursor(conn) as plain:
        # Prepared: the simple protocol, which psycopg takes for a statement without parameters, runs many at once.
        plain.execute(sql, params, prepare=True)
        watch.check()
        if plain.description is not None:
            return _collect(conn, plain, query, watch, warnings)
        return Result(columns=({"name": "rows_affected", "type": "bigint"},), rows=([max(plain.rowcount, 0)],))


def _collect(
    conn: Connection, cursor: psycopg.Cursor[tuple[Any, ...]], query: Query, watch: Watch, warnings: tuple[str, ...]
) -> Result:
    rows, truncated = collect(cursor.fetchmany, query, watch.check)
    return Result(columns=_columns(conn, cursor), rows=tuple(rows), truncated=truncated, warnings=warnings)


def _columns(conn: Connection, cursor: psycopg.Cursor[Any]) -> tuple[dict[str, str], ...]:
    described = cursor.description or []
    unknown = [column.type_code for column in described if column.type_display.isdecimal()]
    names: dict[int, str] = {}
    if unknown:
        names = dict(psycopg.RawCursor(conn).execute(_TYPE_NAMES, (unknown,)).fetchall())
    return tuple(
        {"name": column.name, "type": names.get(column.type_code, column.type_display)} for column in described
    )
