"""The process that runs a user's Python file; it is started by path and imports nothing of the panel.

One start of the interpreter, two processes. The warden stays behind: it waits, stops the tree when told to, or when the
panel is gone, and reports what was used. Its fork loads the user's file and calls the entrypoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from types import CoroutineType, ModuleType, TracebackType
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SCRIPT = "script.py"
MESSAGE_CHARS = 4_000
TRACEBACK_CHARS = 16_000
# Room above the soft limit, so that a MemoryError can still be told.
SPARE_BYTES = 64 * 1024 * 1024
# A main process of a PID namespace: the kernel kills the rest of the namespace when it ends.
ALONE = os.getpid() == 1
# Looking through the host's whole /proc takes milliseconds; the namespace's own is small.
COUNT_SECONDS = 0.1 if ALONE else 1.0
# The kernel counts all processes of a user, so its limit can only be the last line.
OTHERS = 1024


def main() -> None:
    """Fork; the child runs the user's code, the parent watches it."""
    plan = json.loads(sys.argv[1])
    report = int(plan["report"])
    # Told to end by word on stdin only; a signal meant for the group must not leave the tree unwatched.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not ALONE:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        os.close(report)
        _confine(plan)
        _run(plan)
        return
    _watch(child, report, float(plan["grace"]), int(plan["processes"]))


# The warden.


def _watch(child: int, report: int, grace: float, processes: int) -> NoReturn:
    for stream in (1, 2):
        os.close(stream)
    ended = os.pidfd_open(child)
    kill_at: float | None = None
    crowded = False
    count_at = time.monotonic() + COUNT_SECONDS
    listening = True
    while True:
        ready = _wait([ended, 0] if listening else [ended])
        status = _reap(child)
        if status is not None:
            break
        if 0 in ready:
            word = os.read(0, 1)
            listening = word == b"T"
            # No word but the end of the pipe: the panel is gone, and nobody is there to be waited for.
            kill_at = time.monotonic() + grace if word == b"T" else time.monotonic()
            _signal_tree(signal.SIGTERM)
        if not crowded and time.monotonic() >= count_at:
            count_at = time.monotonic() + COUNT_SECONDS
            crowded = _count() > processes
            kill_at = time.monotonic() if crowded else kill_at
        if kill_at is not None and time.monotonic() >= kill_at:
            _signal_tree(signal.SIGKILL)
    _bury()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "code": os.waitstatus_to_exitcode(status),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_bytes": used.ru_maxrss * 1024,
        "crowded": crowded,
    }
    with contextlib.suppress(OSError):  # the panel may be gone
        os.write(report, json.dumps(told).encode())
    os._exit(0)


def _wait(files: list[int]) -> set[int]:
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(100)}


def _reap(child: int) -> int | None:
    """Take orphans that have ended, which would count as processes; return the child's status once it has."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in (0, child):
            return status if pid == child else None


def _bury() -> None:
    """Kill and reap what the user's process left behind, daemons too."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            _signal_tree(signal.SIGKILL)
            time.sleep(0.002)


def _signal_tree(number: int) -> None:
    if ALONE:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        return
    for pid in _tree():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _count() -> int:
    """Return how many processes the user's one has become; the kernel's own limit counts the panel's too."""
    if not ALONE:
        return len(_tree())
    with contextlib.suppress(OSError):
        if Path("/proc/self").readlink() == Path("1"):
            return sum(entry.name.isdigit() for entry in Path("/proc").iterdir()) - 1
    # The host refused a /proc of the namespace: there is nothing to count by.
    return 0


def _tree() -> list[int]:
    """Return every process below this one. Orphans come back to us, because we are their reaper."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                stat = (entry / "stat").read_text(errors="replace")
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


# The user's process.


def _confine(plan: dict[str, Any]) -> None:
    warden = os.getppid()
    if not ALONE:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != warden:
            os._exit(1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    with contextlib.suppress(OSError):  # the first to go when the host runs out of memory
        Path("/proc/self/oom_score_adj").write_text("800")
    cpu = int(plan["cpu_seconds"])
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    _limit(resource.RLIMIT_FSIZE, int(plan["file_bytes"]))
    _limit(resource.RLIMIT_NOFILE, int(plan["files"]))
    if os.geteuid() != 0:
        _limit(resource.RLIMIT_NPROC, int(plan["processes"]) + OTHERS)
    _limit(resource.RLIMIT_AS, int(plan["memory_bytes"]), int(plan["memory_bytes"]) + SPARE_BYTES)


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; what the host allows less of stays."""
    _, most = resource.getrlimit(which)
    wanted = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        soft, wanted = min(soft, most), min(wanted, most)
    resource.setrlimit(which, (soft, wanted))


def _run(plan: dict[str, Any]) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # text streams
    error_path = Path(plan["error"])
    try:
        text = _json(_call(plan))
    except SystemExit as stop:
        text = _system_exit(stop, error_path)
    except _NotJson as error:
        _tell(error_path, "schema_error", "TypeError", str(error))
        sys.exit(1)
    except BaseException as error:  # noqa: BLE001  # the user's code may raise anything
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
        _tell_exception(error_path, error)
        sys.exit(1)
    if len(text) > int(plan["output_bytes"]):
        _tell(error_path, "user_error", "OutputTooLarge", f"{len(text):,}")
        sys.exit(1)
    Path(os.environ["MCP_OUTPUT"]).write_text(text, encoding="utf-8")


class _NotJson(Exception):
    """The entrypoint returned what JSON cannot hold."""


def _call(plan: dict[str, Any]) -> Any:
    import linecache

    source = Path(plan["code"]).read_text(encoding="utf-8")
    inputs = json.loads(Path(os.environ["MCP_INPUTS"]).read_text(encoding="utf-8"))
    # Tracebacks show the lines of a file that is known by a short name only.
    linecache.cache[SCRIPT] = (len(source), None, source.splitlines(keepends=True), SCRIPT)
    module = ModuleType("script")
    module.__file__ = SCRIPT
    sys.modules["script"] = module
    exec(compile(source, SCRIPT, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # what this process is for
    result = getattr(module, plan["entrypoint"])(**inputs)
    if isinstance(result, CoroutineType):
        import asyncio

        result = asyncio.run(result)
    return result


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _NotJson(str(error)) from None


def _system_exit(stop: SystemExit, error_path: Path) -> str:
    if stop.code is None or stop.code == 0:
        return "null"
    message = f"The script ended itself: {stop.code}" if isinstance(stop.code, str) else f"Exit code {stop.code}"
    _tell(error_path, "user_error", "SystemExit", message, line=_line(stop.__traceback__))
    sys.exit(stop.code if isinstance(stop.code, int) else 1)


def _line(trace: TracebackType | None) -> int | None:
    """Return the user's line that is nearest to where it happened."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == SCRIPT:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _tell_exception(path: Path, error: BaseException) -> None:
    import traceback

    # The frames above the user's first one are this file's.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != SCRIPT:
        trace = trace.tb_next
    shown = "".join(traceback.format_exception(type(error), error, trace))
    group = "oom" if isinstance(error, MemoryError) else "user_error"
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  # a user's __str__ may raise anything
        message = ""
    with contextlib.suppress(ValueError, OSError, AttributeError):  # the script may have closed or replaced it
        sys.stderr.write(shown)
    _tell(path, group, type(error).__name__, message, shown, _line(trace) or getattr(error, "lineno", None))


def _tell(path: Path, group: str, name: str, message: str, trace: str = "", line: int | None = None) -> None:
    told = {"class": group, "type": name, "message": message[:MESSAGE_CHARS], "line": line}
    told["traceback"] = trace[-TRACEBACK_CHARS:]
    path.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
