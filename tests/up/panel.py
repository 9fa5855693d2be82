"""A panel that a test starts with the command line, and what can be seen of it from outside."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
# What would make the panel under test talk to the servers of the tests.
_NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "REDIS_PREFIX", "MCP_", "SECRET_KEY", "PUBLIC_URL", "DJANGO_")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Return a plain person's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    return kept | more


class Panel:
    """One `manage.py up` in a process group of its own."""

    def __init__(self, data_dir: Path, *arguments: str, port: int | None = None, **env: str) -> None:
        self.data_dir, self.port = data_dir, port or free_port()
        command = [sys.executable, "manage.py", "up", "--data-dir", str(data_dir), "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.lines.extend(line.rstrip("\n") for line in iter(output.readline, ""))

    @property
    def output(self) -> str:
        """Return what it has said so far."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> Panel:
        """Wait until a line starts with `text`."""
        deadline = time.monotonic() + seconds
        while not any(line.startswith(text) for line in self.lines):
            assert time.monotonic() < deadline, f"no line {text!r} in {seconds} s:\n{self.output}"
            assert self.process.poll() is None, f"ended before a line {text!r}:\n{self.output}"
            time.sleep(0.05)
        return self

    def ready(self) -> Panel:
        """Wait for the line that says so."""
        return self.wait_for(f"ready http://127.0.0.1:{self.port}")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Ask it to end; returns its exit code. Fails if that takes longer than it may."""
        self.process.send_signal(number)
        return self.ended(seconds)

    def ended(self, seconds: float) -> int:
        """Wait for its end; returns its exit code, with all that it said in `lines`."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def status(self, path: str) -> int:
        """Ask the web process; returns the status of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """Ask the API; returns its JSON. Fails on an error status."""
        with self._asked(method, path, body, token, "application/json") as answer:
            return json.load(answer)

    def stream(self, path: str, token: str) -> AbstractContextManager[http.client.HTTPResponse]:
        """Open a stream of events; it is closed with the block."""
        return self._asked("GET", path, None, token, "text/event-stream")

    @contextmanager
    def _asked(self, method: str, path: str, body: Any, token: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as answer:
                assert answer.status < 400, (answer.status, answer.read())
                yield answer

    def child(self, text: str) -> int:
        """Return the process number of the child with `text` in its command line."""
        found = [pid for pid, parent, line in processes() if parent == self.process.pid and text in line]
        assert len(found) == 1, f"{len(found)} children with {text!r}"
        return found[0]

    def kill_for_good(self) -> None:
        """Leave nothing of it, whatever the test did."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def processes() -> list[tuple[int, int, str]]:
    """Return number, parent and command line of every process that is not dead already."""
    told = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(None, 3) for line in told.splitlines())
    return [(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")]


def left_of(panel: Panel, known: set[int]) -> list[str]:
    """Return the command lines of what still runs of a panel: by its data folder, its port, or its numbers."""
    marks = (str(panel.data_dir), f"--port {panel.port}", f"up-{panel.process.pid}@")
    return [
        line
        for pid, _, line in processes()
        if pid != os.getpid() and (pid in known or any(mark in line for mark in marks)) and "ps -ww" not in line
    ]


def below(panel: Panel) -> set[int]:
    """Return the numbers of all processes below a panel."""
    rows = processes()
    found, waiting = set[int](), [panel.process.pid]
    while waiting:
        parent = waiting.pop()
        children = [pid for pid, its_parent, _ in rows if its_parent == parent]
        found.update(children)
        waiting.extend(children)
    return found
