"""The contract between the panel and a type of connection: given values, never rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from mcp_site.core.errors import AppError


class ConnectorFailed(AppError):
    """The other side did not answer as expected."""

    code = "connection_failed"
    status = 422


class NotSupported(AppError):
    """Connections of this type can't do that."""

    code = "not_supported"
    status = 409


class Config(BaseModel):
    """Base of every connector's config. A field with `json_schema_extra={"secret": True}` is sealed at rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Return the names of the fields that are sealed, by their declaration."""
        return frozenset(
            name
            for name, info in cls.model_fields.items()
            if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("secret")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a connection test: resolve, connect, tls, authenticate, query."""

    name: str
    ok: bool
    ms: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What a connection test found."""

    ok: bool
    phases: tuple[Phase, ...]
    server_version: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: `type` as the database writes it."""

    name: str
    type: str
    nullable: bool
    default: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """Columns that point at another table's columns."""

    name: str | None
    columns: tuple[str, ...]
    schema: str | None
    table: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index: its columns in order."""

    name: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table or view as a scan found it. `rows` is the database's own estimate, None where it has none."""

    schema: str
    name: str
    kind: str = "table"
    comment: str | None = None
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Rows of a query, JSON values only, in the order of `columns` ([{"name", "type"}])."""

    columns: tuple[dict[str, str], ...]
    rows: tuple[Sequence[Any], ...]
    truncated: bool = False
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return `{columns, rows, row_count, truncated}`, the shape that clients and later steps see."""
        return {
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "row_count": len(self.rows),
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement to run: `:name` parameters, at most `max_rows` rows and `max_bytes` of values, in `timeout` s."""

    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    read_only: bool = True
    max_rows: int = 10_000
    max_bytes: int = 16 * 1024 * 1024
    timeout: float = 60.0
    cancelled: Callable[[], bool] = lambda: False


class Connector(ABC):
    """One type of connection."""

    name: ClassVar[str]
    label: ClassVar[str]
    #: "database", "provider" or "secret".
    group: ClassVar[str] = "database"
    Config: ClassVar[type[Config]]
    #: How its SQL is read; empty where what it is asked is no SQL.
    dialect: ClassVar[str] = ""
    #: Of `test`, `scan`, `query`.
    capabilities: ClassVar[frozenset[str]] = frozenset()

    def missing(self) -> str | None:
        """Return what to `pip install`, or None when the driver is there."""
        return None

    @abstractmethod
    def test(self, config: Any) -> TestResult:
        """Try the connection phase by phase. Failure is a result, not an exception."""

    def scan(self, config: Any) -> list[Table]:
        """Return all schemas' tables and views. Raises ConnectorFailed."""
        raise NotSupported

    def query(self, config: Any, query: Query) -> Result:
        """Run one statement. Raises ConnectorFailed (the message has no secret), Rejected (not one statement)."""
        raise NotSupported
