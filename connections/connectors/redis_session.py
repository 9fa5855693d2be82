"""Redis's protocol (RESP 3) on a checked address: one command, one answer, none larger than asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hiredis

from connections.connectors.base import ConnectorFailed
from connections.connectors.phases import open_socket
from connections.connectors.tls import context_of, refusal
from mcp_site.core.masking import Masker

_CHUNK = 65_536


class RedisSession:
    """A conversation with a server."""

    def __init__(self, raw: socket.socket, masker: Masker, max_bytes: int) -> None:
        self._raw, self._masker, self._max_bytes = raw, masker, max_bytes
        # What is not text comes back as text with the odd bytes marked, which `text_of` turns into base64.
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")

    def ask(self, *words: str) -> Any:
        """Return the answer to one command. Raises ConnectorFailed with what the server said."""
        (answer,) = self.ask_all([words])
        if isinstance(answer, hiredis.HiredisError):
            raise ConnectorFailed(self._masker.text(str(answer))[:2000])
        return answer

    def ask_all(self, commands: Sequence[Sequence[str]]) -> list[Any]:
        """Return the answers to commands sent together; those that fail answer an exception."""
        try:
            self._raw.sendall(b"".join(map(_encoded, commands)))
            return [self._next() for _ in commands]
        except TimeoutError as exc:
            raise ConnectorFailed("The server did not answer in time.", code="timeout") from exc
        except hiredis.ProtocolError as exc:
            raise ConnectorFailed("What answers there does not speak Redis's protocol; check the port.") from exc
        except OSError as exc:
            raise ConnectorFailed("The connection to the server was lost.") from exc

    def limit_reads(self, seconds: float) -> None:
        """Wait no longer than this for the next bytes."""
        self._raw.settimeout(seconds)

    def cut(self) -> None:
        """End the wait of the thread that reads, from another thread."""
        try:
            self._raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed meanwhile

    def _next(self) -> Any:
        received = 0
        while (answer := self._reader.gets()) is False:
            piece = self._raw.recv(_CHUNK)
            if not piece:
                raise OSError("closed")
            received += len(piece)
            if received > self._max_bytes:
                raise ConnectorFailed(f"The answer has more than {self._max_bytes} bytes; ask for a part of it.")
            self._reader.feed(piece)
        return answer


@contextmanager
def session(config: Any, addresses: list[str], max_bytes: int) -> Iterator[RedisSession]:
    """Give a session that is logged in. Raises ConnectorFailed (the password masked)."""
    raw = connect(config, addresses)
    try:
        yield log_in(config, raw, max_bytes)
    finally:
        raw.close()


def connect(config: Any, addresses: list[str]) -> socket.socket:
    """Return an open socket."""
    raw = open_socket(addresses, config.port, config.connect_timeout)
    return secure(config, raw) if config.tls.mode != "disable" else raw


def secure(config: Any, raw: socket.socket) -> socket.socket:
    """Shake hands by TLS. Raises ConnectorFailed."""
    try:
        return context_of(config.tls).wrap_socket(raw, server_hostname=config.host)
    except ConnectorFailed:
        raw.close()
        raise
    except OSError as exc:
        raw.close()
        raise refusal(exc) from exc


def log_in(config: Any, raw: socket.socket, max_bytes: int) -> RedisSession:
    """Say hello with name and password, and choose the database. Raises ConnectorFailed."""
    found = RedisSession(raw, Masker([config.password]), max_bytes)
    # Without a password nobody logs in, and the server's default user is who asks.
    login = ["AUTH", config.user or "default", config.password] if config.password else []
    found.ask("HELLO", "3", *login)
    found.ask("SELECT", str(config.database))
    return found


def text_of(value: Any) -> Any:
    """Return an answer as JSON can say it: text that is no text as bytes (base64 later), maps with names of text."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
        return value
    if isinstance(value, dict):
        return {str(text_of(key)): text_of(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [text_of(inner) for inner in value]
    if isinstance(value, hiredis.HiredisError):
        return str(value)
    return value


def _encoded(words: Sequence[str]) -> bytes:
    parts = [word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
