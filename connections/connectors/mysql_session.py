"""Opening a MySQL or MariaDB session on a checked address: no local files, no password in clear, no config file."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import pymysql
from pymysql.constants import CR

from connections.connectors.base import ConnectorFailed
from connections.connectors.mysql_protocol import Session
from connections.connectors.phases import open_socket
from connections.connectors.tls import context_of, refusal
from connections.connectors.watch import Watch
from mcp_site.core.masking import Masker

# What a server that speaks something else, or lies, makes of the driver.
_NOT_THE_PROTOCOL = (struct.error, IndexError, KeyError, ValueError, TypeError, AssertionError, RuntimeError)
# Modes under which text and names are quoted in other ways than the panel reads them.
_OTHER_QUOTES = frozenset(
    "ANSI ANSI_QUOTES DB2 MAXDB MSSQL ORACLE POSTGRESQL NO_BACKSLASH_ESCAPES".split()  # noqa: SIM905
)


class NoTls(ConnectorFailed):
    """The mode asks for TLS, and there is none or it is not good enough."""


class Handshake:
    """Stands in for the TLS context at the driver, to tell how long the handshake took and why it failed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.seconds = 0.0
        self.version = ""

    def wrap_socket(self, raw: socket.socket, server_hostname: str) -> ssl.SSLSocket:
        """Shake hands. Raises NoTls."""
        start = perf_counter()
        try:
            secured = self._context.wrap_socket(raw, server_hostname=server_hostname)
        except OSError as exc:
            raise NoTls(refusal(exc).detail) from exc
        finally:
            self.seconds = perf_counter() - start
        self.version = secured.version() or ""
        return secured


class _InClear:
    """Answers a server that wants the password itself: only one that TLS has proved to be the right one gets it."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def authenticate(self, packet: Any) -> Any:
        """Send the password, or raise ConnectorFailed."""
        raise ConnectorFailed("The server asks for the password in clear or by an outdated method; that is refused.")


@contextmanager
def session(config: Any, addresses: list[str], handshake: Handshake | None = None) -> Iterator[Session]:
    """Give a session at the first address that answers. Raises ConnectorFailed (the password masked)."""
    conn = open_session(config, open_socket(addresses, config.port, config.connect_timeout), handshake)
    try:
        yield conn
    except pymysql.Error as exc:
        raise failure(exc, config) from exc
    except (struct.error, IndexError, AssertionError, RuntimeError, UnicodeError) as exc:
        raise ConnectorFailed("The server's answer is not as MySQL's protocol has it.") from exc
    finally:
        conn.abandon()


def open_session(config: Any, raw: socket.socket, handshake: Handshake | None = None) -> Session:
    """Log in over an open socket, and bring the session to what the panel counts on."""
    encrypts = config.tls.mode != "disable"
    shaking = handshake or (Handshake(context_of(config.tls)) if encrypts else None)
    refused = dict.fromkeys(("mysql_clear_password", "dialog", "mysql_old_password"), _InClear)
    conn = Session(
        host=config.host,
        user=config.user,
        password=config.password.encode(),
        database=config.database or None,
        charset="utf8mb4",
        local_infile=False,
        ssl_disabled=not encrypts,
        autocommit=True,
        program_name="model-control-panel",
        auth_plugin_map=refused,
        read_timeout=float(config.connect_timeout),
        defer_connect=True,
        **({"ssl": context_of(config.tls)} if config.tls.mode not in ("disable", "prefer") else {}),
    )
    if shaking is not None:
        conn.ctx = shaking
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        conn.connect(raw)
        _set_modes(conn)
    except pymysql.Error as exc:
        raw.close()
        if exc.args and exc.args[0] == CR.CR_SSL_CONNECTION_ERROR:
            raise NoTls(f"The server offers no TLS, but tls.mode is {config.tls.mode}.") from exc
        raise failure(exc, config) from exc
    except _NOT_THE_PROTOCOL as exc:
        raw.close()
        raise ConnectorFailed("What answers there does not speak MySQL's protocol; check the port.") from exc
    conn.limit_reads(None)
    return conn


def failure(exc: pymysql.Error, config: Any) -> ConnectorFailed:
    """Return what the server or driver said, in one line, without the password."""
    said = str(exc.args[1]) if len(exc.args) > 1 else str(exc)
    number = exc.args[0] if exc.args and isinstance(exc.args[0], int) and exc.args[0] else None
    text = " ".join(said.split()) or type(exc).__name__
    if number:
        text += f" (MySQL error {number})"
    return ConnectorFailed(Masker([config.password]).text(text)[:2000])


def ask(conn: Session, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Return the rows of one of the panel's own statements."""
    with conn.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def watch(conn: Session, config: Any, addresses: list[str], timeout: float, cancelled: Callable[[], bool]) -> Watch:
    """Return what ends the query of `conn`: KILL QUERY from a second session, or else the end of the socket."""
    (number,) = ask(conn, "select connection_id()")[0]

    def cancel() -> bool:
        try:
            with session(config, addresses) as other:
                ask(other, f"kill query {int(number)}")
        except ConnectorFailed:
            return False
        return True

    return Watch(timeout, cancelled, cancel=cancel, cut=conn.cut)


def _set_modes(conn: Session) -> None:
    ((modes,),) = ask(conn, "select @@sql_mode")
    kept = [mode for mode in str(modes).split(",") if mode not in _OTHER_QUOTES]
    ask(conn, "set session sql_mode = %s", (",".join(kept),))
