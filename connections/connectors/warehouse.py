"""What the types have in common whose drivers are extras: SQLAlchemy over a driver that may be missing.

Nothing of a driver is imported before it is used, so the panel starts without any of them. These are tested without a
server: config, address, catalog SQL; docs/reference/connections.md says so.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import groupby
from typing import Any, ClassVar

import sqlalchemy
from sqlalchemy.pool import NullPool

from connections.connectors import base, statements
from connections.connectors.base import Column, ConnectorFailed, Query, Result, Table, TestResult
from connections.connectors.parameters import replace_parameters
from connections.connectors.phases import Trial, open_socket, resolve
from connections.connectors.rows import collect
from connections.connectors.watch import Watch
from mcp_site.core.errors import AppError
from mcp_site.core.masking import Masker

INSTALL = "pip install -r requirements/connectors.txt"
_COLON, _NAMED = re.compile(":"), re.compile("\x00(.*?)\x00")
_TYPES = {bool: "boolean", int: "integer", float: "double", str: "text", bytes: "binary"}


class WarehouseConnector(base.Connector):
    """A database that is spoken to through SQLAlchemy and a driver from requirements/connectors.txt."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})
    #: The modules that the driver brings, and the package that brings them.
    modules: ClassVar[tuple[str, ...]]
    package: ClassVar[str]
    #: Answers the server's version in one row.
    version: ClassVar[str]
    #: Answers schema, table, kind, column, type, nullable ('YES'), default, in order of table and place.
    catalog: ClassVar[str]

    def missing(self) -> str | None:
        """Return the package to install, or None when the driver is there."""
        return None if all(map(_is_there, self.modules)) else self.package

    @abstractmethod
    def endpoint(self, config: Any) -> tuple[str, int]:
        """Return the host and port that the egress guard judges."""

    @abstractmethod
    def url(self, config: Any, address: str) -> sqlalchemy.URL:
        """Return the address for SQLAlchemy, made of the checked fields alone; `address` is the judged one."""

    def arguments(self, config: Any, seconds: float) -> dict[str, Any]:
        """Return what else the driver is given."""
        return {}

    def engine_options(self, config: Any) -> dict[str, Any]:
        """Return what SQLAlchemy's dialect is given beside the address."""
        return {}

    def prepare(self, conn: sqlalchemy.Connection, seconds: float) -> None:
        """Bring a new session to what the panel counts on."""

    def secrets(self, config: Any) -> list[str]:
        """Return what a masker takes out of messages."""
        return [str(getattr(config, name)) for name in config.secret_fields() if getattr(config, name)]

    def test(self, config: Any) -> TestResult:
        """Try name, port, login and one query, in this order."""
        with Trial(Masker(self.secrets(config))) as trial:
            host, port = self.endpoint(config)
            addresses = trial.resolve(host, port)
            with trial.phase("connect"):
                open_socket(addresses, port, config.connect_timeout).close()
            with trial.phase("authenticate"), self._session(config, 30.0) as conn:
                trial.server_version = f"{self.label} {self._first(conn, config)}"
        return trial.result()

    def scan(self, config: Any) -> list[Table]:
        """Return tables and views with their columns, by one catalog query."""
        with self._session(config, 120.0) as conn:
            rows = conn.execute(sqlalchemy.text(_COLON.sub(r"\\:", self.catalog_of(config)))).fetchall()
        return tables_of(rows)

    def catalog_of(self, config: Any) -> str:
        """Return the catalog query for this config."""
        return self.catalog

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement that the panel read as a query, in a transaction that is rolled back.

        Unlike the types of the first row these are held to reading by the text and the rollback alone; the login's
        rights are what counts.
        """
        statement = statements.read(query.sql, query.params, dialect=self.dialect, read_only=query.read_only)
        clause = sqlalchemy.text(bound(statement.sql, self.dialect))
        seconds = min(query.timeout, config.statement_timeout or query.timeout)
        with self._session(config, seconds) as conn:
            cut = suppressing(conn.connection.driver_connection)
            with Watch(seconds, query.cancelled, cancel=lambda: False, cut=cut) as watching:
                try:
                    return self._run(conn, clause, query, watching, writes=not query.read_only)
                except ConnectorFailed:
                    raise
                except Exception:
                    watching.check()
                    raise

    def _run(self, conn: sqlalchemy.Connection, clause: Any, query: Query, watching: Watch, *, writes: bool) -> Result:
        streamed = conn.execution_options(stream_results=True, max_row_buffer=1000)
        answer = streamed.execute(clause, dict(query.params))
        if not answer.returns_rows:
            conn.commit()
            return Result(columns=({"name": "rows_affected", "type": "integer"},), rows=([max(answer.rowcount, 0)],))
        names = list(answer.keys())
        rows, truncated = collect(lambda count: [tuple(row) for row in answer.fetchmany(count)], query, watching.check)
        if writes:
            conn.commit()
        kinds = [
            next((_TYPES.get(type(row[at]), "") for row in rows if row[at] is not None), "") for at in range(len(names))
        ]
        columns = tuple({"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True))
        return Result(columns=columns, rows=tuple(rows), truncated=truncated)

    def _first(self, conn: sqlalchemy.Connection, config: Any) -> str:
        row = conn.execute(sqlalchemy.text(self.version)).fetchone()
        return " ".join(str(row[0]).split())[:200] if row else ""

    @contextmanager
    def _session(self, config: Any, seconds: float) -> Iterator[sqlalchemy.Connection]:
        """Give a session on the judged address. Raises ConnectorFailed, with secrets masked."""
        (address, *_) = resolve(*self.endpoint(config))
        try:
            engine = sqlalchemy.create_engine(
                self.url(config, address),
                poolclass=NullPool,
                connect_args=self.arguments(config, seconds),
                **self.engine_options(config),
            )
            with engine.connect() as conn:
                self.prepare(conn, seconds)
                yield conn
                conn.rollback()
        except AppError:
            raise
        except Exception as exc:  # noqa: BLE001  drivers of others raise what they like
            # What they say may hold the password, so the cause stays out.
            said = " ".join(str(getattr(exc, "orig", None) or exc).split()) or type(exc).__name__
            raise ConnectorFailed(Masker(self.secrets(config)).text(said)[:2000]) from None


def bound(sql: str, dialect: str) -> str:
    """Return the text as SQLAlchemy takes it: `:name` is a parameter, every other colon is a colon."""
    marked = replace_parameters(sql, dialect, lambda name: f"\x00{name}\x00")
    return _NAMED.sub(r":\1", _COLON.sub(r"\\:", marked))


def tables_of(rows: Sequence[Any]) -> list[Table]:
    """Return tables from rows of the catalog, in order of schema and name."""
    listed = sorted(([str(row[0]), str(row[1]), *row[2:]] for row in rows), key=lambda row: (row[0], row[1]))
    return [
        Table(
            schema=schema,
            name=name,
            kind="view" if "VIEW" in str(parts[0][2]).upper() else "table",
            columns=tuple(
                Column(
                    name=str(column),
                    type=str(kind),
                    nullable=str(nullable).upper() in ("YES", "Y", "1", "TRUE"),
                    default=default,
                )
                for _, _, _, column, kind, nullable, default in parts
            ),
        )
        for (schema, name), group in groupby(listed, key=lambda row: (row[0], row[1]))
        if (parts := list(group))
    ]


def suppressing(driver: Any) -> Any:
    """Return what closes a driver's connection from another thread and says nothing of how it took it."""

    def close() -> None:
        with suppress(Exception):
            driver.close()

    return close


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # A package above it is missing.
        return False
