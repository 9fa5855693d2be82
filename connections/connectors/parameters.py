"""Finding the `:name` parameters of an SQL text: not those inside text, names, comments, casts and slices.

A colon right after a word, `]` or `)` is a slice (`x[1:n]`) to PostgreSQL, not a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: As sqlglot calls them.
Dialect = str
# Dialects that quote as another one does.
_AS = {"tsql": "sqlite", "bigquery": "mysql", "clickhouse": "mysql"}

_NAME = r":(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
_COMMON = r"""
    (?P<text>'(?:[^']|'')*(?:'|$))
  | (?P<quoted>"(?:[^"]|"")*(?:"|$))
  | (?P<line>--[^\n]*)
  | (?P<block>/\*)
"""
_TOKENS: dict[str, re.Pattern[str]] = {
    "postgres": re.compile(
        r"(?P<escaped>(?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|\\.|'')*(?:'|$)) |"
        + _COMMON
        + r"""
  | (?P<dollar>(?<![A-Za-z0-9_$])\$(?P<tag>[A-Za-z_][A-Za-z0-9_]*)?\$.*?(?:\$(?(tag)(?P=tag))\$|$(?!\n)))
  | (?P<cast>::|:=)
  | (?<![\w\])])"""
        + _NAME,
        re.VERBOSE | re.DOTALL,
    ),
    # A backslash escapes in both kinds of quotes, and two hyphens begin a comment only before white space.
    "mysql": re.compile(
        r"""
    (?P<text>'(?:[^'\\]|\\.|'')*(?:'|$))
  | (?P<quoted>"(?:[^"\\]|\\.|"")*(?:"|$))
  | (?P<tick>`(?:[^`]|``)*(?:`|$))
  | (?P<line>\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*)
  | (?P<block>/\*)
  | (?P<assign>:=) |"""
        + _NAME,
        re.VERBOSE | re.DOTALL,
    ),
    "duckdb": re.compile(
        r"(?P<escaped>(?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|\\.|'')*(?:'|$)) |"
        + _COMMON
        + r"""
  | (?P<dollar>(?<![A-Za-z0-9_$])\$(?P<tag>[A-Za-z_][A-Za-z0-9_]*)?\$.*?(?:\$(?(tag)(?P=tag))\$|$(?!\n)))
  | (?P<cast>::|:=)
  | (?<![\w\])}'"])"""
        + _NAME,
        re.VERBOSE | re.DOTALL,
    ),
    "sqlite": re.compile(
        _COMMON + r"| (?P<tick>`[^`]*(?:`|$)) | (?P<bracket>\[[^\]]*(?:\]|$)) |" + _NAME, re.VERBOSE | re.DOTALL
    ),
}


def parameter_names(sql: str, dialect: Dialect = "postgres") -> list[str]:
    """Return the `:name` parameters of `sql` as they appear; not those inside text, comments or casts."""
    found: list[str] = []

    def collect(name: str) -> str:
        found.append(name)
        return ""

    replace_parameters(sql, dialect, collect)
    return found


def replace_parameters(sql: str, dialect: Dialect, replacement: Callable[[str], str]) -> str:
    """Return `sql` with every `:name` replaced by what `replacement` makes of the name; all else stays as it is."""
    known = _AS.get(dialect, dialect)
    pattern, nested = _TOKENS.get(known, _TOKENS["postgres"]), known == "postgres"
    out: list[str] = []
    position = 0
    while match := pattern.search(sql, position):
        out.append(sql[position : match.start()])
        end = match.end()
        if match["name"] is not None:
            out.append(replacement(match["name"]))
        else:
            if match["block"] is not None:
                end = _end_of_comment(sql, match.start(), nested=nested)
            out.append(sql[match.start() : end])
        position = end
    out.append(sql[position:])
    return "".join(out)


def without_parameters(sql: str, dialect: str) -> str:
    """Return `sql` with one name for all its parameters, which a parser takes (one may be called like a keyword)."""
    return replace_parameters(sql, dialect, lambda _: ":p")


def _end_of_comment(sql: str, start: int, *, nested: bool) -> int:
    depth, position = 1, start + 2
    while depth:
        opening, closing = sql.find("/*", position), sql.find("*/", position)
        if closing < 0:
            return len(sql)
        if nested and 0 <= opening < closing:
            depth, position = depth + 1, opening + 2
        else:
            depth, position = depth - 1, closing + 2
    return position
