"""The artifact store: bytes by their SHA-256 under the data directory, written once, and the rows that name them.

Several machines share it by sharing `<data-dir>/artifacts` (a network file system).
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.conf import settings

from mcp_site.core.errors import NotFound
from workflows.models import Artifact

_SHA256 = re.compile(r"[0-9a-f]{64}")
CHUNK = 1024 * 1024
MAX_NAME = 255


class ArtifactLost(NotFound):
    """The bytes of this artifact are not in the store any more."""

    code = "artifact_lost"


def _path(sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise ArtifactLost
    return Path(settings.MCP_DATA_DIR) / "artifacts" / sha256[:2] / sha256


def _keep(source: IO[bytes]) -> tuple[str, int]:
    """Copy `source` into the store; returns its SHA-256 and size. Whole or not at all, safe to do twice at once."""
    root = Path(settings.MCP_DATA_DIR) / "artifacts"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=root, delete=False) as target:
        try:
            while piece := source.read(CHUNK):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
        except BaseException:
            Path(target.name).unlink()
            raise
    place = _path(digest.hexdigest())
    place.parent.mkdir(exist_ok=True, mode=0o700)
    Path(target.name).replace(place)
    return digest.hexdigest(), size


def store_bytes(content: bytes) -> str:
    """Keep `content`; returns its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    if not _path(sha256).exists():
        with tempfile.SpooledTemporaryFile() as spool:
            spool.write(content)
            spool.seek(0)
            _keep(spool)
    return sha256


def store_file(path: Path) -> tuple[str, int]:
    """Keep the file at `path`; returns its SHA-256 and size. Links are not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as source:
        return _keep(source)


def load_bytes(sha256: str) -> bytes:
    """Return what was kept under `sha256`. Raises ArtifactLost."""
    try:
        return _path(sha256).read_bytes()
    except FileNotFoundError as exc:
        raise ArtifactLost from exc


def stream(sha256: str) -> Iterator[bytes]:
    """Yield what was kept under `sha256` in pieces. Raises ArtifactLost before the first."""
    try:
        source = _path(sha256).open("rb")
    except FileNotFoundError as exc:
        raise ArtifactLost from exc

    def pieces() -> Iterator[bytes]:
        with source:
            while piece := source.read(CHUNK):
                yield piece

    return pieces()


def record(
    *, run: int, n: int, step: str, index: int | None, attempt: int, name: str, media_type: str, path: Path
) -> Artifact:
    """Keep the file at `path` and write the row that names it as an artifact of that attempt."""
    sha256, size = store_file(path)
    return Artifact.objects.create(
        run_id=run,
        n=n,
        step=step,
        index=index,
        attempt=attempt,
        name=name[-MAX_NAME:],
        media_type=media_type[:127],
        size=size,
        sha256=sha256,
    )
