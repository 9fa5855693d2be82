"""Reading one Redis command before it is sent: which words it has, and whether it only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mcp_site.core.errors import Problem, Rejected, reject_if

# Commands that read data. Not among them: KEYS (walks everything at once), scripts, CONFIG, what waits or subscribes.
_READING = (
    "BITCOUNT BITFIELD_RO BITPOS DBSIZE EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO"
    " GEOSEARCH GET GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSCAN HSTRLEN HVALS LCS LINDEX"
    " LLEN LPOS LRANGE MGET PEXPIRETIME PFCOUNT PTTL RANDOMKEY SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS"
    " SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TTL TYPE XLEN XPENDING XRANGE XREVRANGE ZCARD ZCOUNT"
    " ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE"
    " ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION JSON.GET JSON.MGET JSON.TYPE"
)
READING = frozenset(_READING.split())
READING_OF = {
    "MEMORY": frozenset({"USAGE"}),
    "OBJECT": frozenset({"ENCODING", "FREQ", "IDLETIME"}),
    "XINFO": frozenset({"STREAM", "GROUPS", "CONSUMERS"}),
}
_WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))""", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_PARAMETER = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)\Z")


def read(text: str, params: Mapping[str, Any]) -> list[str]:
    """Return the words of the one command in `text`, parameters filled in. Raises Rejected at `sql` or `params.x`.

    A parameter is a whole word, `GET :key`; one that is a list becomes several words. Words with spaces stand in
    quotes.
    """
    if not text.strip() or "\x00" in text:
        raise Rejected("write one command", attr="sql", code="required")
    words: list[str] = []
    used: set[str] = set()
    missing: list[str] = []
    for word, is_quoted in _split(text):
        match = None if is_quoted else _PARAMETER.match(word)
        if match is None:
            words.append(word)
        elif match[1] not in params:
            missing.append(match[1])
        else:
            used.add(match[1])
            words += _words_of(params[match[1]])
    reject_if(
        [
            *(Problem(f"params.{name}", "required", "the command names this parameter") for name in missing),
            *(
                Problem(f"params.{name}", "unknown_parameter", "the command has no such parameter")
                for name in params
                if name not in used
            ),
        ]
    )
    _require_reading(words)
    return words


def name_of(words: list[str]) -> str:
    """Return the command's name as the server calls it: `memory|usage` where a word below it decides."""
    first = words[0].upper()
    return f"{first}|{words[1]}".lower() if first in READING_OF and len(words) > 1 else first.lower()


def _require_reading(words: list[str]) -> None:
    first = words[0].upper() if words else ""
    below = READING_OF.get(first)
    if first not in READING and (below is None or len(words) < 2 or words[1].upper() not in below):
        raise Rejected("only a command that reads data (GET, HGETALL, SCAN …)", attr="sql", code="not_read_only")


def _split(text: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None or (match[3] and match[3][0] in "\"'"):
            raise Rejected("a quote is not closed", attr="sql", code="not_understood")
        if match[3] is not None:
            found.append((match[3], False))
        else:
            inner = match[1] if match[1] is not None else match[2]
            found.append((re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), inner, flags=re.DOTALL), True))
        position = match.end()
    return found


def _words_of(value: Any) -> list[str]:
    if isinstance(value, list):
        return [word for item in value for word in _words_of(item)]
    if isinstance(value, str):
        return [value]
    return [json.dumps(value)]
