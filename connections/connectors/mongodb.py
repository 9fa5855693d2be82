"""MongoDB, through pymongo: collections as its schema, and reading commands written as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field

from connections.connectors import base
from connections.connectors.base import Column, ConnectorFailed, Index, Query, Result, Table, TestResult
from connections.connectors.phases import Trial, open_socket, resolve
from connections.connectors.rows import collect
from connections.connectors.server import ConnectSeconds, HostConfig, StatementSeconds
from mcp_site.core.errors import AppError, Problem, Rejected, reject_if
from mcp_site.core.masking import Masker

#: Commands that read, by their first field; no other field may begin a document.
READING = frozenset({"find", "aggregate", "count", "distinct"})
_WRITING_STAGES = frozenset({"$out", "$merge"})
# These run JavaScript in the server.
_CODE = frozenset({"$where", "$function", "$accumulator"})


class MongoDBConfig(HostConfig):
    """Where the server is, which database, and who logs in. One server: the members of a set are not looked for."""

    port: int = Field(default=27017, ge=1, le=65535)
    database: str = Field(min_length=1, max_length=63, pattern=r"^[^/\\. \"$*<>:|?]+$")
    user: str = Field(default="", max_length=128)
    password: str = Field(default="", max_length=1024, repr=False, json_schema_extra={"secret": True})
    auth_database: str = Field(default="admin", max_length=63, description="Where the login is known.")
    tls: bool = Field(default=True, title="TLS", description="The certificate is checked.")
    connect_timeout: ConnectSeconds = 10
    statement_timeout: StatementSeconds = 0


class MongoDB(base.Connector):
    """A MongoDB database."""

    name: ClassVar[str] = "mongodb"
    label: ClassVar[str] = "MongoDB"
    Config: ClassVar[type[base.Config]] = MongoDBConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"test", "scan", "query"})

    def missing(self) -> str | None:
        """Return the package to install, or None when the driver is there."""
        return None if find_spec("pymongo") is not None else "pymongo"

    def test(self, config: Any) -> TestResult:
        """Try name, port, and login with one command, in this order."""
        with Trial(Masker([config.password])) as trial:
            addresses = trial.resolve(config.host, config.port)
            with trial.phase("connect"):
                open_socket(addresses, config.port, config.connect_timeout).close()
            with trial.phase("authenticate"), _database(config) as database:
                trial.server_version = f"MongoDB {database.command('buildInfo').get('version', '')}"
        return trial.result()

    def scan(self, config: Any) -> list[Table]:
        """Return collections with their indexes, and the fields that their validators name. No document is read."""
        with _database(config) as database:
            found = list(database.list_collections())
            indexes = {
                one["name"]: list(database[one["name"]].list_indexes())
                for one in found
                if one.get("type") == "collection"
            }
        listed = sorted(found, key=lambda one: str(one["name"]))
        return [table_of(one, indexes.get(one["name"], []), config.database) for one in listed]

    def query(self, config: Any, query: Query) -> Result:
        """Run one reading command. There is no way to write, whatever `read_only` says."""
        if not query.read_only:
            raise Rejected("connections of this type only read", attr="read_only", code="not_read_only")
        command = read_command(query.sql, query.params)
        seconds = min(query.timeout, config.statement_timeout or query.timeout)
        with _database(config) as database:
            rows, truncated = collect(
                _fetcher(database, {**command, "maxTimeMS": int(seconds * 1000)}), query, lambda: None
            )
        return Result(columns=({"name": "document", "type": "json"},), rows=tuple(rows), truncated=truncated)


def read_command(text: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command in `text`, parameters filled in. Raises Rejected at `sql` or `params.x`.

    A parameter is a text that is just `":name"`, in place of which the value stands.
    """
    try:
        document = json.loads(text)
    except ValueError as exc:
        detail = 'write one JSON document, such as {"find": "customers", "filter": {"age": {"$gt": 30}}}'
        raise Rejected(detail, attr="sql", code="not_understood") from exc
    first = next(iter(document), "") if isinstance(document, dict) else ""
    if first not in READING:
        raise Rejected(f"a command that reads: {', '.join(sorted(READING))}", attr="sql", code="not_read_only")
    used: set[str] = set()
    filled: dict[str, Any] = _filled(document, params, used)
    _require_reading(document)
    reject_if(
        [
            *(
                Problem(f"params.{n}", "required", "the command names this parameter")
                for n in sorted(used - set(params))
            ),
            *(
                Problem(f"params.{n}", "unknown_parameter", "the command has no such parameter")
                for n in params
                if n not in used
            ),
        ]
    )
    return filled


def table_of(collection: Mapping[str, Any], indexes: list[Any], database: str) -> Table:
    """Return a collection as a table: fields from its validator, indexes as they are."""
    schema = (collection.get("options", {}).get("validator") or {}).get("$jsonSchema") or {}
    wanted = set(schema.get("required", ()))
    fields = {"_id": {}, **schema.get("properties", {})}
    return Table(
        schema=database,
        name=str(collection["name"]),
        kind="view" if collection.get("type") == "view" else "collection",
        columns=tuple(
            Column(
                name=str(name),
                type=str(one.get("bsonType") or one.get("type") or "") if isinstance(one, Mapping) else "",
                nullable=name not in wanted and name != "_id",
            )
            for name, one in fields.items()
        ),
        primary_key=("_id",),
        indexes=tuple(
            Index(name=str(one["name"]), columns=tuple(map(str, one["key"])), unique=bool(one.get("unique")))
            for one in indexes
        ),
    )


def _filled(value: Any, params: Mapping[str, Any], used: set[str]) -> Any:
    if isinstance(value, str) and value[:1] == ":" and value[1:].isidentifier():
        used.add(value[1:])
        return params.get(value[1:])
    if isinstance(value, dict):
        return {name: _filled(inner, params, used) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, params, used) for inner in value]
    return value


def _require_reading(value: Any) -> None:
    if isinstance(value, dict):
        if bad := (_WRITING_STAGES | _CODE) & value.keys():
            raise Rejected(f"{min(bad)} does more than read", attr="sql", code="not_read_only")
        for inner in value.values():
            _require_reading(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_reading(inner)


def _fetcher(database: Any, command: dict[str, Any]) -> Any:
    """Return what hands over rows of one document each."""
    first = next(iter(command))
    if first == "aggregate":
        command.setdefault("cursor", {})
    if first in ("find", "aggregate"):
        documents: Iterator[Any] = iter(database.cursor_command(command))
    else:
        answer = database.command(command)
        documents = iter(answer.get("values", [answer.get("n")]))

    def fetch(count: int) -> list[list[Any]]:
        return [[document] for _, document in zip(range(count), documents, strict=False)]

    return fetch


@contextmanager
def _database(config: Any) -> Iterator[Any]:
    """Give the database on one judged server. Raises ConnectorFailed, with the password masked."""
    import pymongo

    addresses = resolve(config.host, config.port)
    login = {"username": config.user, "password": config.password, "authSource": config.auth_database}
    milliseconds = config.connect_timeout * 1000
    try:
        client: Any = pymongo.MongoClient(
            # With TLS the name, which the certificate is checked against; the driver knows no other place for it.
            host=config.host if config.tls else addresses[0],
            port=config.port,
            # Never the addresses that the server names as members of its set.
            directConnection=True,
            tls=config.tls,
            connectTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            appname="model-control-panel",
            **(login if config.user else {}),
        )
        with client:
            yield client[config.database]
    except AppError:
        raise
    except Exception as exc:  # noqa: BLE001  the driver's errors share no base with those of its BSON half
        said = " ".join(str(exc).split()) or type(exc).__name__
        raise ConnectorFailed(Masker([config.password]).text(said)[:2000]) from None
