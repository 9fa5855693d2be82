"""The levels of isolation that a host may give, found once by trying them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PROBE_SECONDS = 5
# Where programs are looked for, by the child and by what wraps it.
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
# What programs need of a host; the rest of it isn't there under bubblewrap.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/ld.so.cache", "/etc/ld.so.conf"),
    *("/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types", "/etc/pki", "/etc/ssl"),
)
NETWORK = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/services")
DROP = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


class SandboxUnavailable(Exception):
    """The isolation that was asked for cannot be had on this host."""


@dataclass(frozen=True, slots=True)
class Level:
    """A way to start a child. `name` is what people read; `prefix` goes before the command."""

    name: str
    prefix: tuple[str, ...]


def choose(policy: str, *, network: bool, folder: Path, readable: tuple[Path, ...] = ()) -> Level:
    """Return the best level that `policy` (auto, required, process) allows.

    `folder` stays writable, `readable` can be read. Raises SandboxUnavailable if `required` can't be had.
    """
    if policy != "process":
        bubblewrap = shutil.which("bwrap")
        if bubblewrap and _works(_bubblewrap(bubblewrap, network, Path(tempfile.gettempdir()), ())):
            return Level("bubblewrap", _bubblewrap(bubblewrap, network, folder, readable))
        if policy == "required":
            raise SandboxUnavailable(
                "Code runs only under bubblewrap here (SANDBOX=required), and this worker has no working bwrap. "
                "Install bubblewrap and allow unprivileged user namespaces."
            )
        for name, prefix in _namespaces(network):
            if _works(prefix):
                return Level(name, prefix)
    return Level("process" if network else "process (network open)", ())


def _bubblewrap(program: str, network: bool, folder: Path, readable: tuple[Path, ...]) -> tuple[str, ...]:
    shown = [*SYSTEM, *(NETWORK if network else ()), sys.base_prefix, sys.prefix, *map(str, readable)]
    arguments = [program, "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"]
    arguments += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not network:
        arguments.append("--unshare-net")
    arguments += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108  # the sandbox's own
    for path in shown:
        arguments += ["--ro-bind-try", path, path]
    return (*arguments, "--bind", str(folder), str(folder), "--chdir", str(folder), "--")


def _namespaces(network: bool) -> list[tuple[str, tuple[str, ...]]]:
    base = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--ipc")
    own = () if network else ("--net",)
    tries = [
        ("namespaces", (*base, *own, "--mount-proc", *DROP)),
        ("namespaces", (*base, *own, "--mount-proc")),
        # A container often refuses a new /proc, or a new network.
        ("namespaces", (*base, *own)),
    ]
    if not network:
        tries.append(("namespaces (network open)", base))
    return tries


@lru_cache(maxsize=32)
def _works(prefix: tuple[str, ...]) -> bool:
    try:
        tried = subprocess.run(
            [*prefix, sys.executable, "-I", "-S", "-c", "import os; print(os.getpid())"],
            env={"PATH": SAFE_PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    # The warden counts on being the first of its namespace.
    return tried.returncode == 0 and tried.stdout.strip() == b"1"
