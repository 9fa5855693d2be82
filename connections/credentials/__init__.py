"""The one place where sealed secrets are opened, for one attempt, and every use audited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from accounts import audit
from accounts.models import User
from connections.credentials import references
from connections.models import Connection
from mcp_site.core.errors import NotFound
from mcp_site.core.sealing import unseal


class ConnectionMissing(NotFound):
    """A connection that this needs does not exist, or is archived."""

    code = "connection_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection ready for one attempt: values only, the secrets in clear. Never stored, never shown."""

    slug: str
    type: str
    config: dict[str, Any] = field(repr=False)
    #: The secret values, for a masker.
    secrets: tuple[str, ...] = field(repr=False)
    revision: int
    fingerprint: str


def open_for_attempt(slugs: Iterable[str], *, purpose: str, by: User | None = None) -> dict[str, Opened]:
    """Open the connections of these slugs, in one query; one audit row for each that has secrets.

    `purpose` says what for ("run #12 step extract"). Who may name a connection was asked when that was saved.
    Raises ConnectionMissing, SealBroken.
    """
    wanted = dict.fromkeys(slugs)
    rows = {row.slug: row for row in Connection.objects.active().filter(slug__in=wanted)} if wanted else {}
    missing = [slug for slug in wanted if slug not in rows]
    if missing:
        raise ConnectionMissing(f"No such connection, or archived: {', '.join(missing)}.")
    return {slug: open_connection(rows[slug], purpose=purpose, by=by) for slug in wanted}


def open_connection(connection: Connection, *, purpose: str, by: User | None = None) -> Opened:
    """Open one connection, audited if it has secrets. Raises SealBroken, ReferenceBroken."""
    secrets = unseal_fields(connection, connection.secrets) | read_references(connection)
    if secrets:
        audit.log(by, "secret.use", connection, changes={"fields": sorted(secrets), "purpose": purpose})
    return Opened(
        slug=connection.slug,
        type=connection.type,
        config={**connection.config, **secrets},
        secrets=tuple(secrets.values()),
        revision=connection.revision,
        fingerprint=connection.fingerprint,
    )


def unseal_fields(connection: Connection, fields: Iterable[str]) -> dict[str, str]:
    """Return these secrets in clear, to check a changed config as a whole. Nothing leaves; not audited."""
    return {name: unseal(connection.secrets[name], connection.seal_place(name)) for name in fields}


def read_references(connection: Connection) -> dict[str, str]:
    """Return the secrets that live elsewhere, as they are now. Raises ReferenceBroken."""
    return {name: references.read(where) for name, where in connection.references.items()}
