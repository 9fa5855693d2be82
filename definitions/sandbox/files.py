"""Reads what a child left in its folder, trusting nothing about it."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 200
MOST_ENTRIES = 5_000
DEEPEST = 8
NAME_CHARS = 150


class TooLarge(Exception):
    """The file has more bytes than it may."""


def read_regular(path: Path, most: int) -> bytes | None:
    """Return the bytes of a regular file, or None if there is none. Raises TooLarge."""
    try:
        # Neither through a link nor stuck in a pipe that the user's code may have put there.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        data = opened.read(most + 1)
    if len(data) > most:
        raise TooLarge
    return data


def collect(folder: Path) -> tuple[list[tuple[str, Path, str]], int]:
    """Return (name, path, media type) of the regular files in `folder`, and how many others were left out."""
    found: list[tuple[str, Path, str]] = []
    names: set[str] = set()
    left_out = 0
    for path, regular in _walk(folder):
        if not regular or len(found) >= MOST_FILES:
            left_out += 1
            continue
        name = _free(_clean(path.relative_to(folder)), names)
        names.add(name)
        media_type, encoding = mimetypes.guess_type(name)
        found.append(
            (name, path, "application/gzip" if encoding == "gzip" else media_type or "application/octet-stream")
        )
    return found, left_out


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    seen = 0
    queue = [(folder, 0)]
    if folder.is_symlink():
        return
    while queue:
        current, depth = queue.pop(0)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MOST_ENTRIES:
                return
            if entry.is_dir(follow_symlinks=False) and depth < DEEPEST:
                queue.append((Path(entry.path), depth + 1))
            else:
                yield Path(entry.path), entry.is_file(follow_symlinks=False)


def _clean(path: Path) -> str:
    """Return a plain name: a folder becomes a prefix, whatever could mean something to a shell or browser a hyphen."""
    name = "-".join(path.parts).encode(errors="replace").decode()
    name = re.sub(r"[^\w.\-() ]+", "-", name).strip(" .-") or "file"
    stem, dot, ending = name.rpartition(".")
    if len(name) <= NAME_CHARS or not dot or len(ending) > 20:
        return name[:NAME_CHARS]
    return f"{stem[: NAME_CHARS - len(ending) - 1]}.{ending}"


def _free(name: str, names: set[str]) -> str:
    stem, dot, ending = name.rpartition(".")
    number = 1
    free = name
    while free in names:
        number += 1
        free = f"{stem} ({number}).{ending}" if dot else f"{name} ({number})"
    return free
