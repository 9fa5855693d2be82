"""The data folder: one `up` at a time, keys made once, and the note that tells other commands where the servers are."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from mcp_site.up.processes import StartFailed


class DataDir:
    """A private folder that this process holds until it ends."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it is missing. Raises StartFailed if it cannot be made or written."""
        self.path = path.absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartFailed(f"The data folder {self.path} cannot be used: {error.strerror}.") from error

    def hold(self, url: str) -> None:
        """Take the folder for this process. Raises StartFailed, with its address, if another `up` has it.

        The kernel gives the lock back when the process ends, however it ends, so there is no stale one.
        """
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._holder()
            raise StartFailed(f"already running at {holder['url']} (pid {holder['pid']})") from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps({"url": url, "pid": os.getpid()}).encode(), 0)

    def _holder(self) -> dict[str, Any]:
        # Read through our own descriptor: a second one, when closed, would give up a lock of ours.
        try:
            told = json.loads(os.pread(self._lock, 4096, 0))
        except ValueError:
            told = {}
        return {"url": told.get("url", "an address of its own"), "pid": told.get("pid", "unknown")}

    def make_keys(self) -> None:
        """Make SECRET_KEY and the first sealing key once. They are lost with the folder, and so are sealed secrets."""
        path = self.path / "keys.json"
        if path.exists():
            return
        fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        _write(path, {"SECRET_KEY": secrets.token_urlsafe(50), "MCP_SECRET_KEYS": [fernet]})

    def announce(self, note: dict[str, Any]) -> None:
        """Write run.json, from which the settings of every other command learn where the servers are."""
        _write(self.path / "run.json", note)

    def withdraw(self) -> None:
        """Remove run.json: nothing runs any more."""
        (self.path / "run.json").unlink(missing_ok=True)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a private file whole or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
