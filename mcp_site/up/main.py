"""The command behind `manage.py up`, without Django: it starts processes and keeps them."""

from __future__ import annotations

import argparse
import http.client
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import environ

from mcp_site.up import mode as modes
from mcp_site.up import servers
from mcp_site.up.datadir import DataDir
from mcp_site.up.processes import StartFailed, adopt_orphans, end, spawn
from mcp_site.up.supervisor import Stopped, Supervisor, say

_ROOT = Path(__file__).resolve().parents[2]
_QUEUES = "llm,notebook,script,sql,control"
_START_SECONDS = 120.0
# Said by Celery to root at each start; what runs user code here is not the worker but its sandboxed children.
_ROOT_WARNING = "ignore:You're running the worker with superuser privileges"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, for `manage.py up` and for its help inside Django."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir(), help="folder of everything it keeps")
    parser.add_argument("--no-example", action="store_true", help="do not load and run the example")
    parser.add_argument(
        "--exit-after-example", action="store_true", help="end after the example; exit 0 only if it succeeded"
    )


def default_data_dir() -> Path:
    """Return MCP_DATA_DIR, or `var/` beside the code."""
    return Path(os.environ.get("MCP_DATA_DIR") or _ROOT / "var")


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def main(arguments: list[str]) -> int:
    """Read the command line and the .env file, then run. Returns the exit code."""
    environ.Env.read_env(_ROOT / ".env")
    parser = argparse.ArgumentParser(prog="manage.py up", description="Start the whole panel on this machine.")
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Start everything, keep it running, end everything. Returns the exit code."""
    if options.no_example and options.exit_after_example:
        say("--no-example and --exit-after-example exclude each other")
        return 2
    # Ours are private files: whoever makes one forgets no mode.
    os.umask(0o077)
    adopt_orphans()
    try:
        return Up(options).run()
    except StartFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        # Before the supervisor listens nothing runs yet.
        return 130


class Up:
    """One run of the command.

    1. Take the data folder, make the keys, decide the mode, check the port.
    2. Plan the embedded servers and write run.json: their addresses are known before they run.
    3. Start `manage.py prepare`, web and worker, which load Django while the servers start; `prepare` migrates.
    4. Let web and worker begin; `prepare` makes the first administrator and loads the example meanwhile.
    5. Say `ready` when the web answers, let `prepare` run the example, serve until asked to end.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Do step 1. Raises StartFailed."""
        self.options = options
        self.mode = modes.decide(options.host, options.port, os.environ)
        self.data = DataDir(options.data_dir)
        self.data.hold(self.mode.url)
        modes.check_port_is_free(self.mode)
        self.data.make_keys()
        given = os.environ
        self.env = {**given, **self.mode.environment(given), "MCP_DATA_DIR": str(self.data.path)}
        self.env |= {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "mcp_site.settings"}
        # The checks load every page's code into the worker; `prepare`, web and `make check` have looked.
        self.env |= {"CELERY_QUIET": "1", "CELERY_SKIP_CHECKS": "1"}
        self.servers = servers.plan(
            self.data.path, database=not given.get("DATABASE_URL"), redis=not given.get("REDIS_URL")
        )
        self.prepare: subprocess.Popen[bytes] | None = None
        self.supervisor = Supervisor(self.env, _ROOT, self._guests)

    def _guests(self) -> list[int]:
        return [*self.servers.pids, *([self.prepare.pid] if self.prepare else [])]

    def run(self) -> int:
        """Do steps 2 to 5, and end everything in the opposite order. Returns the exit code."""
        with ExitStack() as stack:
            self.data.announce({**self.servers.addresses, "url": self.mode.url, "pid": os.getpid()})
            stack.callback(self.data.withdraw)
            stack.callback(self.servers.stop)
            stack.callback(self._end)
            try:
                return self._serve()
            except Stopped:
                return 0

    def _end(self) -> None:
        if self.prepare:
            # It has nothing to lose: each of its steps is a transaction.
            end(self.prepare, (signal.SIGTERM, signal.SIGKILL), 1.0)
            self.prepare = None
        self.supervisor.end()

    def _serve(self) -> int:
        prepared = self._start_prepare()
        gate, opener = os.pipe()
        with os.fdopen(opener, "wb", buffering=0) as gatekeeper:
            self._start_services(gate)
            os.close(gate)
            self.servers.start()
            prepared.tell("servers")
            prepared.wait_for("migrated")
            gatekeeper.write(b"go")
        prepared.wait_for("prepared")
        self._wait_for_the_web()
        say(f"ready {self.mode.url}")
        if not self.options.no_example:
            prepared.tell(f"ready {self.mode.url}")
        code = prepared.wait_for_the_end()
        self.prepare = None
        if self.options.exit_after_example:
            return code
        while True:
            self._watch(3600)

    def _watch(self, seconds: float) -> list[int]:
        """Wait for something to happen. Raises StartFailed if an embedded server is gone: nothing works without."""
        readable = self.supervisor.watch(seconds)
        if name := self.servers.dead():
            raise StartFailed(f"{name} ended by itself, so the panel ends too")
        return readable

    def _start_prepare(self) -> _Prepare:
        arguments = [] if self.options.no_example else ["--example"]
        ours, theirs = socket.socketpair()
        command = [sys.executable, str(_ROOT / "manage.py"), "prepare", "--channel", str(theirs.fileno()), *arguments]
        with theirs:
            self.prepare = spawn(command, last=signal.SIGKILL, env=self.env, cwd=_ROOT, pass_fds=(theirs.fileno(),))
        return _Prepare(self.prepare, ours, self.supervisor, self._watch)

    def _start_services(self, gate: int) -> None:
        options, python = self.options, [sys.executable, "-W", _ROOT_WARNING]
        address = ["--host", options.host, "--port", str(options.port)]
        serve = ["-m", "uvicorn", "mcp_site.asgi:application", *address, "--lifespan", "off", "--log-level", "warning"]
        serve += ["--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "3"]
        # What a proxy says of the client (address, https) is believed only of those named.
        proxies = self.env.get("TRUSTED_PROXIES", "")
        serve += ["--proxy-headers", f"--forwarded-allow-ips={proxies}"] if proxies else ["--no-proxy-headers"]
        work = ["-m", "celery", "-A", "mcp_site", "worker", "-P", "threads", "-Q", _QUEUES, "--loglevel", "WARNING"]
        work += ["-c", self.env.get("MCP_WORKER_THREADS") or "8", "-n", f"up-{os.getpid()}@%h"]
        work += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.supervisor.add("web", [sys.executable, *serve], gate=gate)
        self.supervisor.add("worker", [*python, *work], gate=gate)

    def _wait_for_the_web(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        wrong = 0
        while (status := self._web_status()) is None or status >= 400:
            wrong += status is not None
            # One that dies three times, or answers wrongly for a while, will not get better.
            if self.supervisor.services[0].deaths >= 3 or wrong >= 5 or time.monotonic() > deadline:
                raise StartFailed("The web process does not start; its words are above.")
            self._watch(0.05 if status is None else 0.5)

    def _web_status(self) -> int | None:
        """Ask the web process whether it lives; returns the status of its answer, if there is one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.options.host, self.options.host)  # noqa: S104  compared
        connection = http.client.HTTPConnection(host, self.options.port, timeout=5)
        try:
            connection.request("GET", "/health/live", headers={"Host": f"localhost:{self.options.port}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class _Prepare:
    """The conversation with `manage.py prepare`: one word a line, each way."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: socket.socket,
        supervisor: Supervisor,
        watch: Callable[[float], list[int]],
    ) -> None:
        self._process, self._channel, self._watch = process, channel, watch
        self._selector, self._heard = supervisor.selector, b""
        self._channel.setblocking(False)
        self._selector.register(channel, selectors.EVENT_READ)

    def tell(self, line: str) -> None:
        """Say a line; if it is gone, `wait_for` will find out."""
        try:
            self._channel.sendall(f"{line}\n".encode())
        except OSError:
            pass

    def wait_for(self, word: str) -> None:
        """Wait until it says `word`. Raises StartFailed if it ends before."""
        while not self._heard.startswith(f"{word}\n".encode()):
            if self._process.poll() is not None:
                raise StartFailed("The panel could not be prepared; the reason is above.")
            if self._channel.fileno() in self._watch(3600):
                self._listen()
        self._heard = self._heard.partition(b"\n")[2]

    def wait_for_the_end(self) -> int:
        """Wait until it ends; returns its exit code."""
        self._hang_up()
        while self._process.poll() is None:
            self._watch(3600)
        return self._process.returncode

    def _listen(self) -> None:
        try:
            said = self._channel.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            said = b""
        self._heard += said
        if not said:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close our end; the other side still reads what we said, and only its end can follow."""
        if self._channel.fileno() >= 0:
            self._selector.unregister(self._channel)
            self._channel.close()
