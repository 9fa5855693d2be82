"""SQLite: files under the folders that the operator allows, opened so that the engine itself refuses to write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import quote

from connections.connectors import base, statements
from connections.connectors.base import ConnectorFailed, Query, Result, Table, TestResult
from connections.connectors.files import FileConfig, allowed_file
from connections.connectors.phases import Trial
from connections.connectors.sqlite_catalog import scan
from connections.connectors.values import json_value, size_of
from mcp_site.core.errors import Problem, Rejected
from mcp_site.core.masking import Masker

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_NEVER = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA})
_FUNCTIONS_REFUSED = frozenset({"load_extension", "fts3_tokenizer", "writefile", "readfile", "edit"})
# SQLite types values, not columns: a column is called after its first value.
_TYPES = {int: "integer", float: "real", str: "text", bytes: "blob"}
_TICK_INSTRUCTIONS = 10_000
_POLL_SECONDS = 0.1
_BATCH = 200
_BUSY_SECONDS = 5.0


class SQLiteConfig(FileConfig):
    """Which file."""


class SQLite(base.Connector):
    """A SQLite file."""

    name: ClassVar[str] = "sqlite"
    label: ClassVar[str] = "SQLite"
    Config: ClassVar[type[base.Config]] = SQLiteConfig
    dialect: ClassVar[str] = "sqlite"
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def test(self, config: Any) -> TestResult:
        """Find the file, open it, read its schema."""
        with Trial(Masker()) as trial:
            with trial.phase("resolve") as note:
                note.detail = allowed_file(config.path).name
            with trial.phase("query"), self._session(config, read_only=True) as conn:
                conn.execute("select count(*) from sqlite_schema").fetchone()
                trial.server_version = f"SQLite {sqlite3.sqlite_version}"
        return trial.result()

    def scan(self, config: Any) -> list[Table]:
        """Return tables and views with what belongs to them."""
        with self._session(config, read_only=True) as conn:
            return scan(conn)

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement: read-only on a file opened for reading, under an authorizer; else committed at the end."""
        statement = statements.read(query.sql, query.params, dialect="sqlite", read_only=query.read_only)
        params = {name: _parameter(name, query.params[name]) for name in statement.names}
        with self._session(config, read_only=query.read_only) as conn:
            conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(query.max_bytes, 1024 * 1024))
            conn.set_authorizer(_reader if query.read_only else _writer)
            stop = _Stop(query)
            conn.set_progress_handler(stop, _TICK_INSTRUCTIONS)
            try:
                result = _collect(conn.execute(statement.sql, params), query)
                conn.commit()
            except sqlite3.Error as exc:
                stop.check()
                raise _failure(exc) from exc
            return result

    @contextmanager
    def _session(self, config: Any, *, read_only: bool) -> Iterator[sqlite3.Connection]:
        path = allowed_file(config.path)
        uri = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"
        try:
            conn = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)
        except sqlite3.Error as exc:
            raise _failure(exc) from exc
        try:
            # Text that is not UTF-8 must not end the query.
            conn.text_factory = lambda raw: raw.decode("utf-8", "replace")
            conn.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            conn.execute("pragma trusted_schema = off")
            if read_only:
                conn.execute("pragma query_only = on")
            yield conn
        except sqlite3.Error as exc:
            raise _failure(exc) from exc
        finally:
            conn.close()


class _Stop:
    """Tells SQLite to stop when the query is cancelled or out of time; asked every few thousand instructions."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._deadline = monotonic() + query.timeout
        self._next_poll = 0.0
        self._reason = ""

    def __call__(self) -> int:
        now = monotonic()
        if now >= self._deadline:
            self._reason = "timeout"
        elif now >= self._next_poll:
            self._next_poll = now + _POLL_SECONDS
            if self._query.cancelled():
                self._reason = "cancelled"
        return 1 if self._reason else 0

    def check(self) -> None:
        """Raise ConnectorFailed if this is why the query ended."""
        if self._reason == "cancelled":
            raise ConnectorFailed("The query was cancelled.", code="cancelled")
        if self._reason == "timeout":
            raise ConnectorFailed(f"The query did not end within {self._query.timeout:g} s.", code="timeout")


def _reader(action: int, _first: str | None, name: str | None, _database: str | None, _trigger: str | None) -> int:
    """Allow what a query needs, and nothing that writes, attaches, loads or sets."""
    return _function(action, name) if action in _READING else sqlite3.SQLITE_DENY


def _writer(action: int, _first: str | None, name: str | None, _database: str | None, _trigger: str | None) -> int:
    """Allow writing to this file; never other files, extensions or settings of the engine."""
    return sqlite3.SQLITE_DENY if action in _NEVER else _function(action, name)


def _function(action: int, name: str | None) -> int:
    refused = action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _FUNCTIONS_REFUSED
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Rejected([Problem(f"params.{name}", "invalid", "a whole number of at most 64 bits")])
    return value


def _collect(cursor: sqlite3.Cursor, query: Query) -> Result:
    if cursor.description is None:
        return Result(columns=({"name": "rows_affected", "type": "integer"},), rows=([max(cursor.rowcount, 0)],))
    rows: list[list[Any]] = []
    types = ["null"] * len(cursor.description)
    size, truncated = 0, False
    while not truncated and (found := cursor.fetchmany(min(_BATCH, query.max_rows + 1 - len(rows)))):
        for raw in found:
            row = [json_value(value) for value in raw]
            size += size_of(row)
            if len(rows) >= query.max_rows or size > query.max_bytes:
                truncated = True
                break
            rows.append(row)
            types = [old if old != "null" else _TYPES.get(type(v), old) for v, old in zip(raw, types, strict=True)]
    columns = tuple({"name": entry[0], "type": type_} for entry, type_ in zip(cursor.description, types, strict=True))
    return Result(columns=columns, rows=tuple(rows), truncated=truncated)


def _failure(exc: sqlite3.Error) -> ConnectorFailed:
    said = str(exc)
    if said == "not authorized" or "prohibited" in said:
        said = "the statement does what is not allowed here"
    return ConnectorFailed(f"SQLite: {said}")
