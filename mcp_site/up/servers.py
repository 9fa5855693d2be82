"""The embedded servers together: which are needed, where their sockets are, and that they end."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mcp_site.up import postgres, valkey
from mcp_site.up.processes import StartFailed

# For data that nobody keeps: a commit that waits for no disk.
FORGETFUL = (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"))
# A unix socket's name ends at 107 bytes; some clients add to it.
_LONGEST = 100
_NAME = ".s.PGSQL.5432.lock"


@dataclass(slots=True)
class Servers:
    """The private servers of one data folder: planned first, so that others may learn the addresses, then started."""

    data_dir: Path
    sockets: Path
    place: postgres.Place | None
    redis: str | None
    _running: list[postgres.Postgres | valkey.Valkey] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, Any]:
        """Return what run.json tells the settings."""
        told: dict[str, Any] = {"database": self.place.database} if self.place else {}
        return told | ({"redis": self.redis} if self.redis else {})

    @property
    def environment(self) -> dict[str, str]:
        """Return the same as DATABASE_URL and REDIS_URL, for processes that read no run.json."""
        told: dict[str, str] = {}
        if self.place:
            where = self.place.database
            # django-environ's form for a socket: the folder stands in the path, between // and the name.
            told["DATABASE_URL"] = f"postgres://{where['USER']}@/{quote(where['HOST'])}/{where['NAME']}"
        return told | ({"REDIS_URL": self.redis} if self.redis else {})

    @property
    def pids(self) -> list[int]:
        """Return the process numbers of those that run."""
        return [server.process.pid for server in self._running]

    def dead(self) -> str | None:
        """Return the name of a server that ended by itself, if one did."""
        for server in self._running:
            if server.process.poll() is not None:
                return type(server).__name__
        return None

    def start(self) -> None:
        """Start what is planned; returns when it answers. Raises StartFailed, and then nothing runs."""
        try:
            if self.redis:
                self._running.append(valkey.start(self.data_dir / "valkey", self.sockets))
            if self.place:
                self._running.append(postgres.start(self.place))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End them, in the order in which they were started, and remove a socket folder outside the data folder."""
        while self._running:
            self._running.pop(0).stop()
        if self.sockets.parent != self.data_dir:
            shutil.rmtree(self.sockets, ignore_errors=True)


def plan(data_dir: Path, *, database: bool = True, redis: bool = True) -> Servers:
    """Decide what will run and where, starting nothing. Raises StartFailed."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    sockets = _socket_folder(data_dir) if database or redis else data_dir / "sock"
    place = postgres.find_place(data_dir / "postgres", sockets) if database else None
    return Servers(data_dir, sockets, place, valkey.url(sockets) if redis else None)


@contextmanager
def running(data_dir: Path, *, database: bool = True, redis: bool = True) -> Iterator[Servers]:
    """Give running servers for tests and benchmarks; they and their data end with the block."""
    servers = plan(data_dir, database=database, redis=redis)
    if servers.place:
        servers.place = replace(servers.place, settings=FORGETFUL)
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()
        for folder in (data_dir / "valkey", *([servers.place.data] if servers.place else [])):
            shutil.rmtree(folder, ignore_errors=True)


def _socket_folder(data_dir: Path) -> Path:
    """Return a private folder for the sockets: in the data folder if the path is short enough."""
    folder = data_dir / "sock"
    if len(os.fsencode(folder / _NAME)) >= _LONGEST:
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        folder = base / f"mcp-{os.geteuid()}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
        if len(os.fsencode(folder / _NAME)) >= _LONGEST:
            raise StartFailed(f"The path of {base} is too long for a socket. Set XDG_RUNTIME_DIR to a shorter one.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    # In a shared folder anybody could have made it first, to read along.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StartFailed(f"{folder} belongs to somebody else. Set XDG_RUNTIME_DIR to a folder of your own.")
    folder.chmod(0o700)
    return folder
