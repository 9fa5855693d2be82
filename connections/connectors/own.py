"""Knowing the panel's own database however it is reached: by a tunnel or a forwarded port its address says nothing."""

from __future__ import annotations

from collections.abc import Callable

from connections.connectors.base import ConnectorFailed

Identity = tuple[str, str]

_ask: list[Callable[[], Identity | None]] = []


def know_own_database(ask: Callable[[], Identity | None]) -> None:
    """Name what tells (system identifier, database) of the panel's own. Wiring does it; plug-ins know none."""
    _ask[:] = [ask]


def require_foreign(identity: Identity) -> None:
    """Raise ConnectorFailed (`egress_refused`) if this is the panel's own database."""
    if any(ask() == identity for ask in _ask):
        raise ConnectorFailed(
            "That is the panel's own database, reached another way; connections can't lead there.",
            code="egress_refused",
        )
