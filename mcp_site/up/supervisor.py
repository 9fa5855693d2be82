"""Keeps the web process and the worker running, and ends everything in order, whatever happens.

1. A child that dies is said so on one line and started again after a pause that doubles from 0.5 s to 30 s.
2. What a dead child leaves behind is killed: nothing that ran for it goes on by itself.
3. SIGINT, SIGTERM, SIGHUP: web and worker are asked to end and killed after 7 s; the servers end after them.
4. A second Ctrl-C kills at once.
"""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mcp_site.gate import VARIABLE
from mcp_site.up.processes import kill_descendants, spawn

_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
# A child that lived this long had a good start: the next pause is the shortest again.
_GOOD_LIFE = 60.0
_PATIENCE = 7.0


class Stopped(Exception):
    """Somebody asked the panel to end."""


def say(line: str) -> None:
    """Print one line at once: it stands among the lines of the children."""
    print(line, flush=True)  # noqa: T201  it is the command's output


@dataclass(slots=True)
class Service:
    """One long-running child: how to start it, and how it fared."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _SHORTEST_PAUSE
    again_at: float = 0.0
    deaths: int = 0


@dataclass
class Supervisor:
    """The parent's eyes and hands. `watch` is called between its steps and while it has nothing else to do."""

    env: Mapping[str, str]
    cwd: Path
    # Children that others look after: the embedded servers, and a command that is under way.
    guests: Callable[[], Iterable[int]]
    services: list[Service] = field(default_factory=list)
    signals: int = 0

    def __post_init__(self) -> None:
        """Listen to signals through a socket, so that none is missed between a look and a sleep."""
        self._ear, mouth = socket.socketpair()
        self._mouth = mouth
        for end in (self._ear, mouth):
            end.setblocking(False)
        signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._ear, selectors.EVENT_READ)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def add(self, name: str, command: list[str], *, gate: int) -> None:
        """Start a service, which waits at the gate, and keep it running from now on; later starts need not wait."""
        service = Service(name, command)
        self.services.append(service)
        self._start(service, gate)

    def watch(self, seconds: float) -> list[int]:
        """Wait for `seconds` or until something happens; start what died. Returns the descriptors that can be read.

        Raises Stopped when asked to end.
        """
        self._start_what_is_due()
        due = [service.again_at for service in self.services if service.process is None]
        patience = max(0.0, min([seconds, *(moment - time.monotonic() for moment in due)]))
        readable = [key.fd for key, _ in self.selector.select(patience) if key.fileobj is not self._ear]
        self._drain()
        if self.signals:
            raise Stopped
        for service in self.services:
            if service.process is not None and service.process.poll() is not None:
                self._note_death(service, service.process.returncode)
        return readable

    def _drain(self) -> None:
        try:
            while self._ear.recv(512):
                pass
        except BlockingIOError:
            pass

    def _start(self, service: Service, *gate: int) -> None:
        env = {**self.env, VARIABLE: str(gate[0])} if gate else self.env
        service.process = spawn(service.command, last=signal.SIGKILL, env=env, cwd=self.cwd, pass_fds=gate)
        service.started = time.monotonic()

    def _start_what_is_due(self) -> None:
        for service in self.services:
            if service.process is None and service.again_at <= time.monotonic():
                self._start(service)

    def _note_death(self, service: Service, code: int) -> None:
        now = time.monotonic()
        if now - service.started >= _GOOD_LIFE:
            service.pause = _SHORTEST_PAUSE
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        say(f"{service.name} {how}; starting it again in {service.pause:g} s")
        service.process, service.again_at, service.deaths = None, now + service.pause, service.deaths + 1
        service.pause = min(service.pause * 2, _LONGEST_PAUSE)
        kill_descendants(apart_from=self._living())

    def _living(self) -> list[int]:
        return [*self.guests(), *(service.process.pid for service in self.services if service.process)]

    def end(self) -> None:
        """End the services: ask, wait, kill. A second signal kills at once."""
        before = self.signals
        running = [service.process for service in self.services if service.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline or self.signals > max(1, before):
                break
            self.selector.select(0.1)
            self._drain()
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.services.clear()
        kill_descendants(apart_from=self.guests())
