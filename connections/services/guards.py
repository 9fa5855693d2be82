"""What must be true before a connection is used or changed."""

from __future__ import annotations

from django.db import transaction

from accounts import access
from accounts.models import User
from connections import connectors, credentials
from connections.connectors import Connector, NotSupported
from connections.models import Connection
from mcp_site.core.errors import Conflict


class Archived(Conflict):
    """The connection is archived: it can be looked at, not used or changed."""

    code = "archived"


class DriverMissing(Conflict):
    """The driver for this type of connection is not installed."""

    code = "driver_missing"


def connector_of(connection: Connection) -> Connector:
    """Return the connector of a row. Raises DriverMissing for a plug-in that is gone."""
    if connection.type not in connectors.CONNECTORS:
        raise DriverMissing(f"Nothing is installed here for connections of type {connection.type}.")
    return connectors.get(connection.type)


def require_active(connection: Connection) -> None:
    """Raise Archived for what was put away."""
    if connection.is_archived:
        raise Archived


def require_usable(by: User, action: str, connection: Connection, capability: str) -> Connector:
    """Return the connector if `by` may use the row. Raises Forbidden, Archived, NotSupported, DriverMissing."""
    access.require(by, action, connection)
    require_active(connection)
    connector = connector_of(connection)
    if capability not in connector.capabilities:
        raise NotSupported(f"Connections of type {connector.name} can't {capability}.")
    if missing := connector.missing():
        raise DriverMissing(f"The driver is not installed: pip install {missing}")
    return connector


@transaction.atomic
def open_row(connection: Connection, purpose: str, by: User) -> credentials.Opened:
    """Open the row as it is now; the audit row is committed before the secret is used."""
    return credentials.open_connection(Connection.objects.get(pk=connection.pk), purpose=purpose, by=by)
