"""Spans of time as people write them: `30s`, `5m`, `1h`, `7d`."""

from __future__ import annotations

import re

_SPAN = re.compile(r"(\d{1,9})(s|m|h|d|w)?")
_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_UNITS = {word[0]: seconds for word, seconds in _WORDS.items()}


def seconds_of(text: str) -> int:
    """Return the seconds of `5m`, `minute`, or a plain number of seconds. Raises ValueError with a sentence."""
    if text in _WORDS:
        return _WORDS[text]
    match = _SPAN.fullmatch(text) if text.isascii() else None
    if match is None:
        raise ValueError("write a span of time as 30s, 5m, 1h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def text_of(seconds: int) -> str:
    """Return the shortest way to write that many seconds with one unit: `90s`, `5m`, `1d`."""
    for unit in "dhm":
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"
