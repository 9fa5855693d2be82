"""Opening a PostgreSQL session to a checked address, taking nothing from the panel's own environment."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import certifi
import psycopg
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader

from connections.connectors.base import ConnectorFailed
from connections.connectors.own import require_foreign
from connections.connectors.tls import context_of, refusal
from connections.connectors.watch import Watch
from mcp_site.core.masking import Masker

# What libpq would look for in the home of the panel's user: named, so that it looks nowhere.
_NOWHERE = "/nonexistent/model-control-panel"
_IDENTITY = "select system_identifier::text, current_database() from pg_control_system()"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@contextmanager
def session(config: Any, addresses: list[str]) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Give a session for `config` at the checked `addresses`. Raises ConnectorFailed (the password masked)."""
    with _ca_file(config.tls.ca) as ca:
        try:
            conn = psycopg.connect(**_parameters(config, addresses, ca))
        except psycopg.Error as exc:
            raise failure(exc, config) from exc
        try:
            _refuse_own(conn)
            _register_loaders(conn)
            yield conn
        except psycopg.Error as exc:
            raise failure(exc, config) from exc
        finally:
            conn.close()


def _refuse_own(conn: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise ConnectorFailed if this is the panel's own database behind another address."""
    row = None
    try:
        with conn.transaction():
            row = conn.execute(_IDENTITY).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction):
        return  # then it is no server of ours, where every login may ask
    if row is not None:
        require_foreign((str(row[0]), str(row[1])))


def failure(exc: psycopg.Error, config: Any) -> ConnectorFailed:
    """Return what the server or driver said, in one line, without the password."""
    said = exc.diag.message_primary or str(exc) or type(exc).__name__
    parts = [" ".join(said.split())]
    if exc.diag.message_hint:
        parts.append(" ".join(exc.diag.message_hint.split()))
    if exc.sqlstate:
        parts.append(f"(SQLSTATE {exc.sqlstate})")
    return ConnectorFailed(Masker([config.password]).text(" ".join(parts))[:2000])


def try_tls(config: Any, raw: socket.socket) -> str | None:
    """Shake hands by TLS on a fresh socket; return the version, or None where the server offers none.

    Raises ConnectorFailed where the mode asks for more than the server gives.
    """
    mode = config.tls.mode
    try:
        raw.sendall(_SSL_REQUEST)
        answer = raw.recv(1)
    except OSError as exc:
        raise ConnectorFailed("The server closed the connection; is this a PostgreSQL server?") from exc
    if answer == b"N":
        if mode != "prefer":
            raise ConnectorFailed(f"The server offers no TLS, but tls.mode is {mode}.")
        return None
    if answer != b"S":
        raise ConnectorFailed("What answers there does not speak PostgreSQL's protocol; check the port.")
    try:
        with context_of(config.tls).wrap_socket(raw, server_hostname=config.host) as secured:
            return secured.version()
    except OSError as exc:
        raise refusal(exc) from exc


def watch(conn: psycopg.Connection[Any], timeout: float, cancelled: Callable[[], bool]) -> Watch:
    """Return what ends the query of `conn` when it is cancelled or out of time."""

    def cancel() -> bool:
        try:
            conn.cancel_safe(timeout=2.0)
        except (psycopg.Error, OSError):
            return False
        return True

    def cut() -> None:
        try:
            with socket.socket(fileno=os.dup(conn.fileno())) as raw:
                raw.shutdown(socket.SHUT_RDWR)
        except (psycopg.Error, OSError):
            pass  # it was closed meanwhile

    return Watch(timeout, cancelled, cancel=cancel, cut=cut)


def _parameters(config: Any, addresses: list[str], ca: str) -> dict[str, Any]:
    mode = config.tls.mode
    if mode.startswith("verify"):
        ca = ca or ssl.get_default_verify_paths().cafile or certifi.where()
    return {
        # The name stays for TLS; the sockets go to the checked addresses, in their order.
        "host": ",".join([config.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": str(config.port),
        "dbname": config.database,
        "user": config.user,
        "password": config.password,
        "passfile": _NOWHERE,
        "sslmode": mode,
        "sslrootcert": ca or _NOWHERE,
        "sslcrl": "",
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "target_session_attrs": "any",
        "options": "",
        "connect_timeout": config.connect_timeout,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "application_name": "model-control-panel",
        "client_encoding": "UTF8",
    }


@contextmanager
def _ca_file(pem: str) -> Iterator[str]:
    """Give the path of a file that holds `pem` while the session lasts (a cancel opens TLS again), or nothing."""
    if not pem:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="mcp-ca-") as folder:
        path = Path(folder) / "ca.pem"
        path.write_text(pem)
        yield str(path)


def _text(data: Any) -> str:
    return bytes(data).decode()


def _iso(load: Callable[[Any], date], data: Any) -> str:
    try:
        return load(data).isoformat()
    except psycopg.DataError:
        return _text(data)


class _Date(DateLoader):
    """Dates as ISO text; `infinity` and years that Python lacks as PostgreSQL writes them."""

    def load(self, data: Any) -> Any:
        return _iso(super().load, data)


class _Timestamp(TimestampLoader):
    """As `_Date`, for timestamps."""

    def load(self, data: Any) -> Any:
        return _iso(super().load, data)


class _Timestamptz(TimestamptzLoader):
    """As `_Date`, for timestamps with a time zone."""

    def load(self, data: Any) -> Any:
        return _iso(super().load, data)


def _register_loaders(conn: psycopg.Connection[Any]) -> None:
    """Read what Python can't hold, or would change, as the text that PostgreSQL writes."""
    conn.adapters.register_loader("date", _Date)
    conn.adapters.register_loader("timestamp", _Timestamp)
    conn.adapters.register_loader("timestamptz", _Timestamptz)
    for name in ("time", "timetz", "interval", "inet", "cidr", "uuid"):
        conn.adapters.register_loader(name, TextLoader)
