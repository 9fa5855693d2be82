"""A MariaDB of the tests' own, with TLS, and a server that speaks MySQL's protocol to do harm."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from tests.connections.servers import certificate, free_port


@contextmanager
def private_mariadb() -> Iterator[dict[str, object] | None]:
    """Run a MariaDB; give the login of its administrator and its CA, or None where it can't be started here."""
    programs = [shutil.which("mariadb-install-db"), shutil.which("mariadbd") or shutil.which("mysqld")]
    if not all(programs):
        yield None
        return
    # A short path: the socket stands below it.
    folder = Path(tempfile.mkdtemp(prefix="mcp-my-"))
    user = ["--user=root"] if Path.home() == Path("/root") else []
    key, pem = certificate(folder, "localhost")
    try:
        made = subprocess.run(
            [
                str(programs[0]),
                "--no-defaults",
                f"--datadir={folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                *user,
            ],
            capture_output=True,
        )
        if made.returncode:
            yield None
            return
        port = free_port()
        server = subprocess.Popen(
            [
                str(programs[1]),
                "--no-defaults",
                f"--datadir={folder}/data",
                f"--socket={folder}/s",
                f"--pid-file={folder}/pid",
                "--bind-address=127.0.0.1",
                f"--port={port}",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=32M",
                "--innodb-flush-log-at-trx-commit=0",
                f"--ssl-key={key}",
                f"--ssl-cert={pem}",
                *user,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield {"host": "127.0.0.1", "port": port, "user": "root", "ca": pem.read_text()} if _answers(port) else None
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def found_mariadb() -> dict[str, object] | None:
    """Return the login of the server that stands ready at the usual port of this machine, if one lets us in."""
    try:
        pymysql.connect(host="127.0.0.1", user="root", connect_timeout=2).close()
    except pymysql.Error:
        return None
    return {"host": "127.0.0.1", "port": 3306, "user": "root", "ca": ""}


def _answers(port: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="root", ssl_disabled=True).close()
        except pymysql.Error:
            time.sleep(0.05)
        else:
            return True
    return False


class RogueMySQL:
    """Lets everybody in, and answers as `mode` says: `file` asks for /etc/passwd, `clear` asks for the password.

    What clients send after that is kept in `heard`.
    """

    def __init__(self, mode: str, when: int = 0x03) -> None:
        self._mode, self._when = mode, when
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self.asked = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            with raw:
                raw.settimeout(5)
                try:
                    self._talk(raw)
                except (OSError, struct.error):
                    continue

    def _talk(self, raw: socket.socket) -> None:
        capabilities = 0x00000001 | 0x00000008 | 0x00000200 | 0x00008000 | 0x00080000 | 0x00000080
        greeting = (
            b"\x0a5.7.0-rogue\x00"
            + struct.pack("<I", 7)
            + b"12345678\x00"
            + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
            + b"\x00" * 10
            + b"123456789012\x00mysql_native_password\x00"
        )
        _send(raw, 0, greeting)
        number, _login = _receive(raw)
        if self._mode == "clear":
            self.asked.set()
            _send(raw, number + 1, b"\xfemysql_clear_password\x00")
            self.heard.append(_receive(raw)[1])
            return
        _send(raw, number + 1, _OK)
        while True:
            number, packet = _receive(raw)
            if packet[0] == self._when or (self._when == 0x03 and packet[0] == 0x16):
                self.asked.set()
                _send(raw, number + 1, b"\xfb/etc/passwd")
                self.heard.append(_receive(raw)[1])
                return
            if packet[0] == 0x16:
                _send(raw, number + 1, b"\x00" + struct.pack("<IHHBH", 1, 0, 0, 0, 0))
                continue
            _send(raw, number + 1, _OK)


_OK = b"\x00\x00\x00\x02\x00\x00\x00"


def _send(raw: socket.socket, number: int, payload: bytes) -> None:
    raw.sendall(struct.pack("<I", len(payload))[:3] + bytes([number % 256]) + payload)


def _receive(raw: socket.socket) -> tuple[int, bytes]:
    head = _exactly(raw, 4)
    return head[3], _exactly(raw, int.from_bytes(head[:3], "little"))


def _exactly(raw: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = raw.recv(count - len(data))
        if not piece:
            raise OSError("closed")
        data += piece
    return data
