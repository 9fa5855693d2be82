"""Starts the child, listens to it, stops it, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from definitions.sandbox.levels import Level
from definitions.sandbox.streams import Budget, Listener, Stream

CHILD = Path(__file__).with_name("child.py")
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.05
# After this much more than the grace the warden itself is held to be lost.
LOST_SECONDS = 3.0
DRAIN_SECONDS = 1.0
CHUNK_BYTES = 64 * 1024
MARK = "MCP_PROCESS_MARK"

Stopped = Literal["", "cancelled", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use."""

    memory_bytes: int
    cpu_seconds: int
    processes: int
    output_bytes: int
    wall_seconds: float
    file_bytes: int = 1024**3
    files: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run and where. All paths lie in `folder`."""

    folder: Path
    code: Path
    entrypoint: str
    error: Path
    env: Mapping[str, str]
    limits: Limits
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended. `code` is negative for a signal; `stopped` says why the panel ended it, if it did."""

    code: int
    stopped: Stopped = ""
    crowded: bool = False
    # Nobody was left to say how it ended: the isolation could not be set up, or the warden was killed.
    lost: bool = False
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


def launch(job: Job, listener: Listener, cancelled: Callable[[], bool]) -> Exit:
    """Run `job` to its end and return how it ended; nothing of its process tree is left. Blocks."""
    mark = secrets.token_hex(16)
    report_read, report_write = os.pipe()
    try:
        child = subprocess.Popen(
            [*job.level.prefix, sys.executable, "-I", str(CHILD), _plan(job, report_write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=job.folder,
            env={**job.env, MARK: mark},
            pass_fds=(report_write,),
            start_new_session=True,
            bufsize=0,
        )
    except BaseException:
        os.close(report_read)
        raise
    finally:
        os.close(report_write)
    try:
        return _Watch(job, child, report_read, listener, cancelled).run()
    finally:
        _end(child)
        os.close(report_read)
        if not job.level.prefix:
            # Under a level with a PID namespace the kernel has ended everything.
            _kill_marked(mark)


def _plan(job: Job, report: int) -> str:
    limits = job.limits
    return json.dumps(
        {
            "report": report,
            "grace": GRACE_SECONDS,
            "code": str(job.code),
            "entrypoint": job.entrypoint,
            "error": str(job.error),
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            "processes": limits.processes,
            "output_bytes": limits.output_bytes,
            "file_bytes": limits.file_bytes,
            "files": limits.files,
        }
    )


class _Watch:
    """One loop over everything that a child says, in the caller's thread."""

    def __init__(
        self,
        job: Job,
        child: subprocess.Popen[bytes],
        report: int,
        listener: Listener,
        cancelled: Callable[[], bool],
    ) -> None:
        self.job = job
        self.child = child
        self.report_file = report
        self.cancelled = cancelled
        self.stopped: Stopped = ""
        self.lost_at = float("inf")
        self.ask_at = 0.0
        self.deadline = time.monotonic() + job.limits.wall_seconds
        self.report = bytearray()
        budget = Budget()
        self.selector = selectors.DefaultSelector()
        self.streams: dict[int, Stream] = {}
        for name, pipe in (("stdout", child.stdout), ("stderr", child.stderr)):
            assert pipe is not None  # noqa: S101  # asked for above
            os.set_blocking(pipe.fileno(), False)
            self.streams[pipe.fileno()] = Stream(name, listener, budget)
            self.selector.register(pipe, selectors.EVENT_READ)
        self.selector.register(report, selectors.EVENT_READ)
        self.reporting = True

    def run(self) -> Exit:
        """Listen until the warden reports, then take what is left in the pipes."""
        try:
            while self.reporting:
                self._listen(POLL_SECONDS)
                self._stop_if_due()
            end = time.monotonic() + DRAIN_SECONDS
            while len(self.selector.get_map()) and time.monotonic() < end:
                self._listen(POLL_SECONDS)
            for stream in self.streams.values():
                stream.close()
        finally:
            self.selector.close()
        return self._exit()

    def _listen(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            data = os.read(key.fd, CHUNK_BYTES)
            if not data:
                self.selector.unregister(key.fileobj)
            if key.fd == self.report_file:
                self.report += data
                self.reporting = bool(data)
            else:
                self.streams[key.fd].feed(data)

    def _stop_if_due(self) -> None:
        now = time.monotonic()
        if not self.stopped and now >= self.ask_at:
            # Asking may cost a look into the database: a talkative child must not make us ask more often.
            self.ask_at = now + POLL_SECONDS
            self.stopped = "cancelled" if self.cancelled() else "timeout" if now >= self.deadline else ""
            if self.stopped:
                self.lost_at = now + GRACE_SECONDS + LOST_SECONDS
                with contextlib.suppress(OSError):  # it has just ended by itself
                    assert self.child.stdin is not None  # noqa: S101  # asked for above
                    os.write(self.child.stdin.fileno(), b"T")
        if now >= self.lost_at:
            self.child.kill()
            self.reporting = False

    def _exit(self) -> Exit:
        try:
            told: dict[str, Any] = json.loads(self.report)
        except ValueError:
            # The warden itself was killed: from outside, or by its own user's code.
            return Exit(code=-signal.SIGKILL, stopped=self.stopped, lost=True)
        return Exit(stopped=self.stopped, **told)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the pipes and reap; the end of its stdin tells a warden that still lives to kill everything."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(LOST_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _kill_marked(mark: str) -> None:
    """Kill what carries this child's mark in its environment: orphans of a warden that was killed."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if wanted in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
