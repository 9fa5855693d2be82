"""Making, changing and archiving connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from accounts import access, audit
from accounts.models import Role, User
from connections import connectors, credentials
from connections.connectors import Connector
from connections.credentials.references import given_in, require
from connections.models import Connection
from connections.services.guards import connector_of, require_active
from mcp_site.core import clock, uses
from mcp_site.core.errors import Forbidden, Problem, Rejected, reject_if
from mcp_site.core.ids import Reference
from mcp_site.core.models import Visibility
from mcp_site.core.sealing import seal

# A month.
MAX_SCAN_HOURS = 744


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
    whole, references = _resolved(connectors.get(type), config)
    plain, secrets = _parts(connectors.get(type), whole, references)
    connection = Connection(
        slug=slug, name=name, type=type, config=plain, description=description, visibility=visibility, owner=by
    )
    connection.references = references
    connection.secrets = _sealed(connection, secrets)
    try:
        with transaction.atomic():
            connection.save(force_insert=True)
    except IntegrityError as exc:
        raise Rejected("a connection of this slug exists", attr="slug", code="unique") from exc
    changes = {"type": [None, type], "config": [None, plain], "secrets_set": sorted(secrets)}
    if references:
        changes["references"] = [{}, references]
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
    scan_every: int | None = None,
) -> Connection:
    """Change what is given, and return the row as it is now.

    `config` is merged: a field left out stays (a secret too), null takes it away. A change of config or secret
    raises the revision. Locks the row. Raises Forbidden, Archived, Rejected, SealBroken.
    """
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    access.require(by, "connection.edit", connection)
    require_active(connection)
    given = {"name": name, "description": description, "visibility": visibility, "scan_every": scan_every}
    after = {field: value for field, value in given.items() if value is not None}
    reject_if(_problems(**{field: str(value) for field, value in after.items()}))
    if scan_every is not None:
        _set_clock(connection, scan_every)
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


def _set_clock(connection: Connection, hours: int) -> None:
    """Have the clock scan every so many hours, the first time soon. Raises Rejected."""
    if not 0 <= hours <= MAX_SCAN_HOURS:
        raise Rejected(f"a whole number from 0 to {MAX_SCAN_HOURS}", attr="scan_every")
    if hours and "scan" not in connector_of(connection).capabilities:
        raise Rejected("connections of this type have no schema", attr="scan_every", code="not_supported")
    connection.scan_due_at = clock.now() if hours else None


def _problems(
    *, name: str = "-", visibility: str = Visibility.PRIVATE, slug: str | None = None, **_: str
) -> Iterable[Problem]:
    if not name.strip() or len(name) > 200:
        yield Problem("name", "invalid", "from 1 to 200 characters")
    if visibility not in Visibility.values:
        yield Problem("visibility", "invalid_choice", f"one of {', '.join(Visibility.values)}")
    if slug == "new":
        yield Problem("slug", "invalid", "another word: the page that makes connections has this address")
    elif slug is not None and not _is_slug(slug):
        yield Problem("slug", "invalid", "small letters, digits and hyphens (at most 63), not starting with a hyphen")


def _is_slug(text: str) -> bool:
    try:
        return Reference.parse(text) == Reference(text)
    except ValueError:
        return False


def _sealed(connection: Connection, secrets: Mapping[str, str]) -> dict[str, str]:
    return {field: seal(value, connection.seal_place(field)) for field, value in secrets.items()}


def _is_as_shown(value: Any) -> bool:
    """Tell whether this is what an answer shows of a secret: sending an answer back changes nothing."""
    return isinstance(value, Mapping) and "set" in value


def _resolved(connector: Connector, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the config with what its references stand for, and the references. Raises Rejected at the field."""
    found = {name: where for name in connector.Config.secret_fields() if (where := given_in(config.get(name)))}
    return {**config, **{name: require(where, f"config.{name}") for name, where in found.items()}}, found


def _parts(
    connector: Connector, whole: Mapping[str, Any], references: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the checked config in plain, and the secrets that the panel itself keeps. Raises Rejected."""
    plain, secrets = connectors.split(connectors.read_config(connector, whole))
    return plain, {name: value for name, value in secrets.items() if name not in references}


def _change_config(connection: Connection, change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `change` into config and secrets; return what to audit, which is nothing where nothing changed."""
    connector = connector_of(connection)
    names = connector.Config.secret_fields()
    change = {name: value for name, value in change.items() if name not in names or not _is_as_shown(value)}
    kept = credentials.unseal_fields(connection, connection.secrets.keys() - change.keys())
    elsewhere = {name: {"from": where} for name, where in connection.references.items() if name not in change}
    merged = connectors.merged({**connection.config, **kept}, change)
    whole, references = _resolved(connector, {**merged, **elsewhere})
    plain, secrets = _parts(connector, whole, references)
    replaced = {name: value for name, value in secrets.items() if name in change}
    removed = connection.secrets.keys() - secrets.keys()
    audited = audit.diff(
        {"config": connection.config, "references": connection.references}, {"config": plain, "references": references}
    )
    if replaced:
        audited["secrets_set"] = sorted(replaced)
    if removed:
        audited["secrets_removed"] = sorted(removed)
    if audited:
        sealed = {name: value for name, value in connection.secrets.items() if name in secrets}
        connection.config, connection.secrets = plain, {**sealed, **_sealed(connection, replaced)}
        connection.references = references
        connection.revision += 1
        connection.last_test = connection.last_test_at = None
    return audited
