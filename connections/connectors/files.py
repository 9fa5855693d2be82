"""Which files connectors may open: those under the folders that wiring names, links followed first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, field_validator

from connections.connectors.base import Config, ConnectorFailed

_roots: list[Path] = []


class FileConfig(Config):
    """Which file."""

    path: str = Field(min_length=1, max_length=1024, description="Absolute path of a file under an allowed folder.")

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not path.startswith("/") or "\x00" in path:
            raise ValueError("an absolute path")
        return path


def allow_files_under(roots: Iterable[Path]) -> None:
    """Name the folders, in place of those named before. Plug-ins know no settings, so wiring tells them."""
    _roots[:] = roots


def allowed_file(path: str) -> Path:
    """Return the real file at `path`. Raises ConnectorFailed, alike for what is outside, missing or no file."""
    try:
        found = Path(path).resolve(strict=True)
        roots = [root.resolve(strict=True) for root in _roots if root.exists()]
        if found.is_file() and any(found.is_relative_to(root) for root in roots):
            return found
    except (OSError, RuntimeError, ValueError) as exc:
        raise _refusal() from exc
    raise _refusal()


def _refusal() -> ConnectorFailed:
    return ConnectorFailed("The path is not a file under an allowed folder (the data folder and SQLITE_ROOTS).")
