"""Processes as the kernel tells of them: starting children that die with us, finding what a dead child left."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_ATTACHED = Path(__file__).with_name("attached.py")
_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36


class StartFailed(Exception):
    """Something that the panel cannot start without did not start; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a child is: another user, or the same user seen as another inside a user namespace."""

    option: str
    uid: int
    gid: int

    def arguments(self) -> list[str]:
        """Return it as arguments of attached.py."""
        return [self.option, f"{self.uid}:{self.gid}"]


def has_terminal() -> bool:
    """Tell whether Ctrl-C in a terminal reaches us: then it must reach us alone, who end the children in order."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def attached(command: list[str], *, last: signal.Signals, account: Account | None = None) -> list[str]:
    """Return the command line that runs `command` so that it gets `last` when this process is gone."""
    group = ["--group"] if has_terminal() else []
    who = account.arguments() if account else []
    # -I -S: a bare interpreter (10 ms) that no variable and no file in the folder can bend.
    prefix = [sys.executable, "-I", "-S", str(_ATTACHED), str(os.getpid()), str(int(last))]
    return [*prefix, *group, *who, "--", *command]


def spawn(
    command: list[str],
    *,
    last: signal.Signals,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start a child that dies with us. What it says goes to our stdout."""
    return subprocess.Popen(
        attached(command, last=last, account=account),
        env=env,
        cwd=cwd,
        stdin=stdin,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
    )


def adopt_orphans() -> None:
    """Have the kernel make us the parent of what our children leave behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _parents() -> dict[int, int]:
    """Return the parent of each process; empty where there is no /proc."""
    found: dict[int, int] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything, so count from its end.
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    return found


def descendants(of: int, apart_from: Iterable[int] = ()) -> set[int]:
    """Return the processes below `of`, without those in `apart_from` and what is below them."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    spared, found, waiting = set(apart_from), set[int](), [of]
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), ()) if pid not in spared]
        found.update(below)
        waiting.extend(below)
    return found


def kill_descendants(apart_from: Iterable[int] = ()) -> None:
    """Kill and bury what is below us, except `apart_from` and theirs. Looks again until none is left, for 2 s."""
    spared = set(apart_from)
    deadline = time.monotonic() + 2
    while (left := descendants(os.getpid(), spared)) and time.monotonic() < deadline:
        for pid in left:
            send(pid, signal.SIGKILL)
        for pid in left:
            _bury(pid)
        time.sleep(0.01)


def _bury(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # a grandchild: it becomes ours when its parent is gone


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal. False if there is no such process or it is not ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if there is no such process (or no way to tell)."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        pass
    try:
        told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return told.stdout.strip()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for the condition, `seconds` at most; tells whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end(process: subprocess.Popen[bytes], numbers: Iterable[signal.Signals], seconds: float) -> None:
    """Send one signal after the other, with `seconds` between them, until the process is gone."""
    for number in numbers:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
