"""The kind `sql`: one statement with `:name` parameters, run on a connection; its rows are the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from connections import connectors
from definitions.kinds import base
from definitions.kinds.base import Cancelled, ConnectionValues, Context, Inferred, Outcome, StepFailed
from mcp_site.core.errors import AppError, Problem, Rejected
from mcp_site.core.registry import UnknownPlugin

_OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "columns": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "type": {"type": "string"}}},
        },
        "rows": {"type": "array", "items": {"type": "array"}},
        "row_count": {"type": "integer"},
        "truncated": {"type": "boolean"},
    },
    "required": ["columns", "rows", "row_count", "truncated"],
}


class SqlConfig(base.Config):
    """Which statement, where, and how far it may go."""

    connection: str = Field(
        default="", max_length=200, description="Slug of a database connection; without one, the step names it."
    )
    sql: str = Field(min_length=1, max_length=100_000, description="One statement; :name stands for an input.")
    read_only: bool = Field(default=True, description="Refuse whatever is not a query.")
    max_rows: int = Field(default=10_000, ge=1, le=100_000)
    timeout: float = Field(default=60.0, gt=0, le=86_400, description="Seconds.")


class Sql(base.Kind):
    """A SQL statement."""

    name: ClassVar[str] = "sql"
    label: ClassVar[str] = "SQL"
    description: ClassVar[str] = "A statement with :name parameters, run on a database connection."
    queue: ClassVar[str] = "sql"
    Config: ClassVar[type[base.Config]] = SqlConfig
    on_lost: ClassVar[Literal["retry", "fail"]] = "retry"
    ui: ClassVar[Mapping[str, Any]] = {
        "connection": {"widget": "connection", "group": "database"},
        "sql": {"widget": "code", "language": "sql", "rows": 12},
    }

    def run(self, context: Context) -> Outcome:
        """Run the statement once with the inputs as parameters. Raises StepFailed, Cancelled."""
        config: SqlConfig = context.config
        values = _connection(config, context)
        query = connectors.Query(
            sql=config.sql,
            params=context.inputs,
            read_only=config.read_only,
            max_rows=config.max_rows,
            timeout=min(config.timeout, context.timeout if context.timeout is not None else config.timeout),
            cancelled=context.cancelled,
        )
        try:
            connector = connectors.get(values.type)
            result = connector.query(connector.Config.model_validate(dict(values.config)), query)
        except connectors.ConnectorFailed as exc:
            raise _failure(exc) from exc
        except Rejected as exc:
            raise StepFailed("user_error", _words(exc), detail={"problems": _places(exc)}) from exc
        except AppError as exc:
            raise StepFailed("user_error", f"connection {values.slug}: {exc.detail}") from exc
        except UnknownPlugin as exc:
            raise StepFailed("user_error", f"no plug-in knows connections of type {values.type!r}") from exc
        except ValidationError:
            # Its text holds the values, secrets among them: the cause stays out.
            raise StepFailed("user_error", f"the settings of connection {values.slug} are not valid") from None
        for warning in result.warnings:
            context.emit.log("system", f"{warning}\n")
        return Outcome(output=result.as_json())

    def problems(self, config: Any) -> list[Problem]:
        """Return what no database could run."""
        if not config.sql.strip() or "\x00" in config.sql:
            return [Problem("sql", "required", "write one SQL statement")]
        return []

    def infer(self, config: Any) -> Inferred:
        """Return the parameters that the statement names, and the shape of every result."""
        # What only one dialect takes for a parameter is a cast, a slice or quoted text to the other.
        certain = set(connectors.parameter_names(config.sql, "sqlite"))
        names = [name for name in dict.fromkeys(connectors.parameter_names(config.sql)) if name in certain]
        inputs = {
            "type": "object",
            "properties": {name: {} for name in names},
            "required": names,
            "additionalProperties": False,
        }
        return Inferred(input_schema=inputs, output_schema=_OUTPUT_SCHEMA)

    def connections(self, config: Any) -> list[str]:
        """Return the connection, if the config names it."""
        return [config.connection] if config.connection else []

    def is_idempotent(self, config: Any) -> bool:
        """Tell whether it only reads."""
        return bool(config.read_only)

    def summary(self, config: Any) -> str:
        """Return the first line of the statement that says something."""
        lines = (line.strip() for line in config.sql.splitlines())
        return next((line[:120] for line in lines if line and not line.startswith("--")), "")


def _connection(config: SqlConfig, context: Context) -> ConnectionValues:
    """Return the connection of the config, else of the step. Raises StepFailed."""
    slug = config.connection or context.step_connection
    if not slug:
        raise StepFailed("user_error", "neither the definition nor the step names a connection")
    values = context.connections.get(slug)
    if values is None:
        raise StepFailed("user_error", f"the connection {slug!r} is not there")
    return values


def _failure(exc: connectors.ConnectorFailed) -> StepFailed | Cancelled:
    if exc.code == "cancelled":
        return Cancelled(exc.detail)
    return StepFailed("timeout" if exc.code == "timeout" else "connection_failed", exc.detail)


def _words(exc: Rejected) -> str:
    """Return the first problem in words, parameters under the name that the author knows: inputs."""
    first = exc.problems[0]
    path = first.path.replace("params.", "inputs.", 1)
    return f"{path}: {first.detail}" if path else first.detail


def _places(exc: Rejected) -> list[dict[str, str]]:
    return [{"path": p.path.replace("params.", "inputs.", 1), "code": p.code, "detail": p.detail} for p in exc.problems]
