"""Identifiers: UUIDv7 for rows, and the references by which users name a version."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import uuid_utils.compat

# A UUID as it stands in an address.
UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_REFERENCE = re.compile(r"(?P<slug>[a-z0-9][a-z0-9-]{0,62})(@(?P<tail>[1-9][0-9]{0,8}|[a-z][a-z0-9-]{0,62}))?")


def uuid7() -> uuid.UUID:
    """Return a new UUIDv7. Python 3.11 has none of its own."""
    return uuid_utils.compat.uuid7()


@dataclass(frozen=True, slots=True)
class Reference:
    """What `slug`, `slug@7` or `slug@alias` names: a thing and, unless the newest is meant, its version."""

    slug: str
    number: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as users write it. Raises ValueError with a sentence."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError("write slug, slug@7 (a version) or slug@alias")
        slug, tail = match["slug"], match["tail"]
        if tail is None:
            return cls(slug)
        if tail.isdecimal():
            return cls(slug, number=int(tail))
        return cls(slug, alias=tail)

    def __str__(self) -> str:
        tail = self.number if self.number is not None else self.alias
        return self.slug if tail is None else f"{self.slug}@{tail}"
