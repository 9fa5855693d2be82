"""DuckDB: files under the folders that the operator allows, opened read-only, with the engine's own doors shut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import duckdb

from connections.connectors import base, statements
from connections.connectors.base import ConnectorFailed, Query, Result, Table, TestResult
from connections.connectors.duckdb_catalog import scan
from connections.connectors.files import FileConfig, allowed_file
from connections.connectors.parameters import replace_parameters
from connections.connectors.phases import Trial
from connections.connectors.rows import collect
from connections.connectors.watch import Watch
from mcp_site.core.errors import Rejected
from mcp_site.core.masking import Masker

# No other file, no network, no extension, no secret, no temporary file, and no setting that changes this.
_LOCKED = {
    "enable_external_access": "false",
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",
    "memory_limit": "512MB",
    "threads": "2",
    "lock_configuration": "true",
}
_ROW_STATEMENTS = (duckdb.StatementType.SELECT,)
_WRITING_STATEMENTS = (
    duckdb.StatementType.SELECT,
    duckdb.StatementType.INSERT,
    duckdb.StatementType.UPDATE,
    duckdb.StatementType.DELETE,
    duckdb.StatementType.MERGE_INTO,
    duckdb.StatementType.CREATE,
    duckdb.StatementType.ALTER,
    duckdb.StatementType.DROP,
)


class DuckDBConfig(FileConfig):
    """Which file."""


class DuckDB(base.Connector):
    """A DuckDB file."""

    name: ClassVar[str] = "duckdb"
    label: ClassVar[str] = "DuckDB"
    Config: ClassVar[type[base.Config]] = DuckDBConfig
    dialect: ClassVar[str] = "duckdb"
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def test(self, config: Any) -> TestResult:
        """Find the file, open it, read its catalog."""
        with Trial(Masker()) as trial:
            with trial.phase("resolve") as note:
                note.detail = allowed_file(config.path).name
            with trial.phase("query"), _session(config, read_only=True) as conn:
                conn.execute("select count(*) from duckdb_tables()").fetchone()
                trial.server_version = f"DuckDB {duckdb.__version__}"
        return trial.result()

    def scan(self, config: Any) -> list[Table]:
        """Return tables and views with what belongs to them."""
        with _session(config, read_only=True) as conn:
            return scan(conn)

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement, by the engine's own count and kind; read-only on a file opened for reading."""
        statement = statements.read(query.sql, query.params, dialect="duckdb", read_only=query.read_only)
        sql = replace_parameters(statement.sql, "duckdb", lambda name: f"${name}")
        params = {name: _parameter(query.params[name]) for name in statement.names}
        with _session(config, read_only=query.read_only) as conn:
            parsed = _one(conn, sql, _ROW_STATEMENTS if query.read_only else _WRITING_STATEMENTS)
            with _watch(conn, query) as watching:
                try:
                    return _run(conn, parsed, params, query, watching)
                except (duckdb.Error, RuntimeError):
                    watching.check()
                    raise


def _one(conn: duckdb.DuckDBPyConnection, sql: str, kinds: tuple[Any, ...]) -> Any:
    """Return the one statement in `sql` as the engine reads it. Raises Rejected."""
    parsed = conn.extract_statements(sql)
    if len(parsed) != 1:
        raise Rejected("only one statement at a time", attr="sql", code="not_one_statement")
    if parsed[0].type not in kinds:
        raise Rejected("only a query that reads" if len(kinds) == 1 else "not this kind of statement", attr="sql")
    return parsed[0]


def _run(conn: duckdb.DuckDBPyConnection, parsed: Any, params: dict[str, Any], query: Query, watching: Watch) -> Result:
    cursor = conn.execute(parsed, params)
    rows, truncated = collect(cursor.fetchmany, query, watching.check)
    columns = tuple({"name": str(entry[0]), "type": str(entry[1]).strip('"').lower()} for entry in cursor.description)
    if parsed.type == duckdb.StatementType.SELECT or [column["name"] for column in columns] != ["Count"]:
        return Result(columns=columns, rows=tuple(rows), truncated=truncated)
    return Result(columns=({"name": "rows_affected", "type": "bigint"},), rows=tuple(rows))


def _watch(conn: duckdb.DuckDBPyConnection, query: Query) -> Watch:
    def interrupt() -> bool:
        conn.interrupt()
        return True

    return Watch(query.timeout, query.cancelled, cancel=interrupt, cut=conn.interrupt)


def _parameter(value: Any) -> Any:
    """Return a parameter as the engine takes it: lists of plain values as lists, what is deeper as JSON text."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict | list) for item in value)):
        return json.dumps(value)
    return value


@contextmanager
def _session(config: Any, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the file. Raises ConnectorFailed, whose message holds no path but the one that the config names."""
    path = allowed_file(config.path)
    try:
        conn = duckdb.connect(str(path), read_only=read_only, config=dict(_LOCKED))
    except (duckdb.Error, RuntimeError) as exc:
        raise _failure(exc) from exc
    try:
        yield conn
    except (duckdb.Error, OverflowError, RuntimeError, UnicodeError) as exc:
        raise _failure(exc) from exc
    finally:
        conn.close()


def _failure(exc: Exception) -> ConnectorFailed:
    return ConnectorFailed(f"DuckDB: {' '.join(str(exc).split())}"[:2000])
