"""Secrets that live elsewhere: a reference, `env:NAME` or `file:/run/secrets/name`, is read when the secret is used.

Only what the operator lists in SECRET_REFERENCES is read, never what is the panel's own: whoever may make a
connection may send what it holds to a server of their choice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.conf import settings

from mcp_site.core.errors import AppError, Rejected

MAX_BYTES = 64 * 1024
# Names that are never given away, whatever the list says: the panel's own.
_NEVER = ("SECRET_KEY", "MCP_*", "*DATABASE_URL*", "REDIS_URL", "BROKER_URL", "CELERY_*", "DJANGO_*", "EMAIL_*", "PG*")


class ReferenceBroken(AppError):
    """A secret that lives outside the panel can't be read."""

    code = "reference_broken"
    status = 409


def given_in(value: Any) -> str | None:
    """Return the reference in a config's value, `{"from": "env:NAME"}`, or None where the value is none."""
    if isinstance(value, Mapping) and set(value) == {"from"} and isinstance(value["from"], str):
        return str(value["from"])
    return None


def read(reference: str) -> str:
    """Return the secret. Raises ReferenceBroken, which tells no value."""
    where, _, name = reference.partition(":")
    if where not in ("env", "file") or not name or not _is_listed(reference):
        raise ReferenceBroken(f"{reference[:200]} is not among the references that SECRET_REFERENCES allows.")
    found = os.environ.get(name) if where == "env" else _file(name)
    if not found:
        raise ReferenceBroken(f"There is no secret at {reference[:200]}.")
    if found in set(_own()):
        raise ReferenceBroken(f"{reference[:200]} holds a secret of the panel itself.")
    return found


def require(reference: str, attr: str) -> str:
    """Return the secret, to check a config with it. Raises Rejected at `attr`."""
    try:
        return read(reference)
    except ReferenceBroken as exc:
        raise Rejected(exc.detail, attr=attr, code=exc.code) from exc


def _is_listed(reference: str) -> bool:
    where, _, name = reference.partition(":")
    if where == "env" and any(fnmatchcase(name, pattern) for pattern in _NEVER):
        return False
    if where == "file" and (not name.startswith("/") or ".." in Path(name).parts):
        return False
    return any(_fits(reference, pattern) for pattern in settings.SECRET_REFERENCES)


def _fits(reference: str, pattern: str) -> bool:
    """Match part by part: a star stands for no slash, and alone for nothing."""
    if reference.partition(":")[0] != pattern.partition(":")[0]:
        return False
    parts, wanted = reference.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _file(name: str) -> str | None:
    """Return the text of a file whose real place, links followed, is allowed too."""
    try:
        real = Path(name).resolve(strict=True)
        if not _is_listed(f"file:{real}") and not _is_sibling(Path(name), real):
            return None
        found = real.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return None
        return real.read_text().rstrip("\r\n")
    except (OSError, UnicodeError, RuntimeError):
        return None


def _is_sibling(link: Path, real: Path) -> bool:
    """Tell whether a link stays below its own folder, as Kubernetes mounts secrets (`name -> ..data/name`)."""
    return real.is_relative_to(link.parent.resolve())


def _own() -> Iterator[str]:
    """Yield the secrets that the panel itself has."""
    yield settings.SECRET_KEY
    yield from settings.MCP_SECRET_KEYS
    for database in settings.DATABASES.values():
        yield str(database.get("PASSWORD") or "")
    yield settings.REDIS_URL
    yield settings.CELERY_BROKER_URL
    yield settings.DATABASE_URL
