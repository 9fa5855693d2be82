"""What people do with connections. No transaction stays open while the other side is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction

from accounts import access, audit
from accounts.models import Role, User
from connections import connectors, credentials, scanning
from connections.connectors import Connector, NotSupported, Query, Result, TestResult
from connections.models import Connection, SchemaSnapshot
from mcp_site.core import clock, uses
from mcp_site.core.errors import Conflict, Forbidden, Problem, Rejected, reject_if
from mcp_site.core.ids import Reference
from mcp_site.core.masking import Masker
from mcp_site.core.models import Visibility
from mcp_site.core.sealing import seal

MAX_QUERY_ROWS = 10_000
QUERY_SECONDS = 60.0
# What an answer shows of a secret, so that sending an answer back changes nothing.
_SECRET_AS_SHOWN = ({"set": True}, {"set": False})


class Archived(Conflict):
    """The connection is archived: it can be looked at, not used or changed."""

    code = "archived"


class DriverMissing(Conflict):
    """The driver for this type of connection is not installed."""

    code = "driver_missing"


@transaction.atomic
def create_connection(
    *,
    by: User,
    slug: str,
    name: str,
    type: str,
    config: Mapping[str, Any],
    description: str = "",
    visibility: str | None = None,
) -> Connection:
    """Make a connection that `by` owns, private unless said otherwise. Raises Forbidden, Rejected, NoSealingKey."""
    access.require(by, "connection.create")
    visibility = visibility or Visibility.PRIVATE
    reject_if(_problems(name=name, visibility=visibility, slug=slug))
    if type not in connectors.CONNECTORS:
        raise Rejected(f"one of {', '.join(connectors.CONNECTORS)}", attr="type", code="invalid_choice")
    plain, secrets = connectors.split(connectors.read_config(connectors.get(type), config))
    connection = Connection(
        slug=slug, name=name, type=type, config=plain, description=description, visibility=visibility, owner=by
    )
    connection.secrets = _sealed(connection, secrets)
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
    except IntegrityError as exc:
        raise Rejected("a connection of this slug exists", attr="slug", code="unique") from exc
    changes = {"type": [None, type], "config": [None, plain], "secrets_set": sorted(secrets)}
    audit.log(by, "connection.create", connection, changes=changes)
    return connection


@transaction.atomic
def update_connection(
    *,
    by: User,
    connection: Connection,
    name: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Connection:
    """Change what is given, and return the row as it is now.

    `config` is merged: a field left out stays (a secret too), null takes it away. A change of config or secret
    raises the revision. Locks the row. Raises Forbidden, Archived, Rejected, SealBroken.
    """
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    access.require(by, "connection.edit", connection)
    _require_active(connection)
    given = {"name": name, "description": description, "visibility": visibility}
    after = {field: value for field, value in given.items() if value is not None}
    reject_if(_problems(**{field: str(value) for field, value in after.items()}))
    before = {field: getattr(connection, field) for field in after}
    changes = audit.diff(before, after)
    for field, value in after.items():
        setattr(connection, field, value)
    if config is not None:
        changes |= _change_config(connection, config)
    if changes:
        connection.save()
        audit.log(by, "connection.update", connection, changes=changes)
    return connection


@transaction.atomic
def archive_connection(*, by: User, connection: Connection, force: bool = False) -> None:
    """Put a connection away. Raises Forbidden, InUse (naming what uses it); an Admin may `force`."""
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    access.require(by, "connection.edit", connection)
    if force and by.role != Role.ADMIN:
        raise Forbidden("Only an Admin may archive a connection that is in use.")
    if connection.is_archived:
        return
    found = uses.refuse_if_used("connection", connection.pk, by=by, force=force)
    connection.archived_at = clock.now()
    connection.save(update_fields=["archived_at", "updated_at"])
    audit.log(by, "connection.archive", connection, changes={"uses": found.total, "force": force})


def test_connection(*, by: User, connection: Connection) -> TestResult:
    """Try the connection phase by phase; the result is kept. Raises Forbidden, Archived, NotSupported."""
    connector = _require_usable(by, "connection.use", connection, "test")
    opened = _open(connection, "test", by)
    result = connector.test(connectors.read_config(connector, opened.config))
    shown = Masker(opened.secrets).data(asdict(result))
    with transaction.atomic():
        # A test of an older revision says nothing about this one.
        Connection.objects.filter(pk=connection.pk, revision=opened.revision).update(
            last_test=shown, last_test_at=clock.now()
        )
        audit.log(by, "connection.test", connection, changes={"ok": result.ok, "revision": opened.revision})
    return result


def scan_connection(*, by: User, connection: Connection) -> SchemaSnapshot:
    """Read the schema; return the newest snapshot, whose `is_new` says whether this scan made it.

    Raises Forbidden, Archived, NotSupported, ConnectorFailed.
    """
    connector = _require_usable(by, "connection.use", connection, "scan")
    opened = _open(connection, "scan", by)
    tables = connector.scan(connectors.read_config(connector, opened.config))
    with transaction.atomic():
        snapshot = scanning.keep(connection, tables, by=by)
        audit.log(by, "connection.scan", connection, changes={"snapshot": snapshot.number, "new": snapshot.is_new})
    return snapshot


def run_query(
    *, by: User, connection: Connection, sql: str, params: Mapping[str, Any] | None = None, limit: int = 1000
) -> Result:
    """Run one read-only query; at most `limit` rows. The audit row holds the text, never the parameters' values.

    Raises Forbidden, Archived, NotSupported, Rejected, ConnectorFailed.
    """
    if not 1 <= limit <= MAX_QUERY_ROWS:
        raise Rejected(f"a whole number from 1 to {MAX_QUERY_ROWS}", attr="limit")
    connector = _require_usable(by, "connection.query", connection, "query")
    params = dict(params or {})
    with transaction.atomic():
        opened = _open(connection, "query", by)
        text = Masker(opened.secrets).text(sql.replace("\x00", ""))[:100_000]
        changes = {"sql": text, "params": sorted(params), "limit": limit}
        audit.log(by, "connection.query", connection, changes=changes)
    query = Query(sql=sql, params=params, read_only=True, max_rows=limit, timeout=QUERY_SECONDS)
    return connector.query(connectors.read_config(connector, opened.config), query)


def _problems(
    *, name: str = "-", visibility: str = Visibility.PRIVATE, slug: str | None = None, **_: str
) -> Iterable[Problem]:
    if not name.strip() or len(name) > 200:
        yield Problem("name", "invalid", "from 1 to 200 characters")
    if visibility not in Visibility.values:
        yield Problem("visibility", "invalid_choice", f"one of {', '.join(Visibility.values)}")
    if slug is not None and not _is_slug(slug):
        yield Problem("slug", "invalid", "small letters, digits and hyphens (at most 63), not starting with a hyphen")


def _is_slug(text: str) -> bool:
    try:
        return Reference.parse(text) == Reference(text)
    except ValueError:
        return False


def _sealed(connection: Connection, secrets: Mapping[str, str]) -> dict[str, str]:
    return {field: seal(value, connection.seal_place(field)) for field, value in secrets.items()}


def _change_config(connection: Connection, change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `change` into config and secrets; return what to audit, which is nothing where nothing changed."""
    connector = _connector_of(connection)
    names = connector.Config.secret_fields()
    change = {name: value for name, value in change.items() if name not in names or value not in _SECRET_AS_SHOWN}
    kept = credentials.unseal_fields(connection, connection.secrets.keys() - change.keys())
    whole = connectors.merged({**connection.config, **kept}, change)
    plain, secrets = connectors.split(connectors.read_config(connector, whole))
    replaced = {name: value for name, value in secrets.items() if name in change}
    removed = connection.secrets.keys() - secrets.keys()
    audited = audit.diff({"config": connection.config}, {"config": plain})
    if replaced:
        audited["secrets_set"] = sorted(replaced)
    if removed:
        audited["secrets_removed"] = sorted(removed)
    if audited:
        sealed = {name: value for name, value in connection.secrets.items() if name in secrets}
        connection.config, connection.secrets = plain, {**sealed, **_sealed(connection, replaced)}
        connection.revision += 1
        connection.last_test = connection.last_test_at = None
    return audited


def _connector_of(connection: Connection) -> Connector:
    if connection.type not in connectors.CONNECTORS:
        raise DriverMissing(f"Nothing is installed here for connections of type {connection.type}.")
    return connectors.get(connection.type)


def _require_active(connection: Connection) -> None:
    if connection.is_archived:
        raise Archived


def _require_usable(by: User, action: str, connection: Connection, capability: str) -> Connector:
    access.require(by, action, connection)
    _require_active(connection)
    connector = _connector_of(connection)
    if capability not in connector.capabilities:
        raise NotSupported(f"Connections of type {connector.name} can't {capability}.")
    if missing := connector.missing():
        raise DriverMissing(f"The driver is not installed: pip install {missing}")
    return connector


@transaction.atomic
def _open(connection: Connection, purpose: str, by: User) -> credentials.Opened:
    """Open the row as it is now; the audit row is committed before the secret is used."""
    return credentials.open_connection(Connection.objects.get(pk=connection.pk), purpose=purpose, by=by)
