"""What stands in for a schema in Redis: keys grouped by their pattern and type, with the fields of hashes."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from connections.connectors.base import Column, Table
from connections.connectors.redis_session import RedisSession, text_of

# Keys that are looked at; more are estimated from these.
MAX_KEYS = 20_000
_BATCH = 1_000
_SAMPLES, _MAX_FIELDS = 5, 200
# A part of a key that is an id rather than a name.
_ID = re.compile(r"(?i)\A(\d+|[0-9a-f]{8,}|[0-9A-HJKMNP-TV-Z]{26})\Z")
_UUID = re.compile(r"(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_SEPARATORS = re.compile(r"([:/.|#-])")
_COLUMNS = {
    "string": ("value",),
    "list": ("position", "value"),
    "set": ("member",),
    "zset": ("member", "score"),
    "stream": ("id", "fields"),
}


def scan(conn: RedisSession, database: int) -> list[Table]:
    """Return one table for each pattern and type of key: `user:*` (hash), in order of pattern."""
    keys = _keys(conn)
    total = int(conn.ask("DBSIZE"))
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        for key, kind in zip(part, conn.ask_all([("TYPE", key) for key in part]), strict=True):
            # A key that went away meanwhile has no type.
            if str(kind) != "none":
                groups[pattern_of(str(text_of(key))), str(kind)].append(key)
    share = max(1.0, total / max(1, len(keys)))
    return [
        Table(
            schema=f"db{database}",
            name=pattern,
            kind=kind,
            columns=_columns(conn, kind, sorted(found)[:_SAMPLES]),
            primary_key=("key",),
            rows=round(len(found) * share),
        )
        for (pattern, kind), found in sorted(groups.items())
    ]


def pattern_of(key: str) -> str:
    """Return the key with its ids replaced: `user:17:cart` is `user:*:cart`."""
    parts = _SEPARATORS.split(_UUID.sub("*", key[:200]))
    return "".join("*" if _ID.match(part) else part for part in parts)


def _keys(conn: RedisSession) -> list[str]:
    found: dict[str, None] = {}
    cursor = "0"
    while len(found) < MAX_KEYS:
        cursor, keys = conn.ask("SCAN", cursor, "COUNT", str(_BATCH))
        found.update(dict.fromkeys(keys))
        if cursor == "0":
            break
    return sorted(found)[:MAX_KEYS]


def _columns(conn: RedisSession, kind: str, samples: list[str]) -> tuple[Column, ...]:
    names: list[str] = ["key", *_COLUMNS.get(kind, ())]
    if kind == "hash":
        names += _fields(conn, samples)
    return tuple(Column(name=name, type="string", nullable=name != "key") for name in dict.fromkeys(names))


def _fields(conn: RedisSession, samples: list[str]) -> list[str]:
    """Return the fields of some hashes, of none that has so many that they are data rather than a schema."""
    lengths = conn.ask_all([("HLEN", key) for key in samples])
    small = [key for key, length in zip(samples, lengths, strict=True) if _is_small(length)]
    answers = conn.ask_all([("HKEYS", key) for key in small])
    return sorted({str(text_of(name)) for answer in answers if isinstance(answer, list) for name in answer})


def _is_small(length: Any) -> bool:
    return isinstance(length, int) and length <= _MAX_FIELDS
