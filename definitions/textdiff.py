"""Two JSON values as a unified text diff, the way people read changes."""

from __future__ import annotations

import difflib
import json
from typing import Any


def lines_of(value: Any, indent: int = 0) -> list[str]:
    """Return a JSON value as lines in which text of several lines (code, prompts) stands as it was written."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for name in sorted(value):
            inner = value[name]
            if _is_block(inner):
                lines += [f"{pad}{name}:", *lines_of(inner, indent + 1)]
            else:
                lines.append(f"{pad}{name}: {_one_line(inner)}")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for inner in value:
            first, *rest = lines_of(inner, indent + 1)
            lines += [f"{pad}- {first[len(pad) + 2 :]}", *rest]
        return lines
    if isinstance(value, str) and "\n" in value:
        return [f"{pad}{line}" for line in value.split("\n")]
    return [f"{pad}{_one_line(value)}"]


def unified(before: Any, after: Any, before_name: str, after_name: str) -> str:
    """Return the unified diff of two JSON values, empty where they are equal."""
    found = difflib.unified_diff(lines_of(before), lines_of(after), before_name, after_name, lineterm="", n=3)
    return "\n".join(found)


def _is_block(value: Any) -> bool:
    return (isinstance(value, dict | list) and bool(value)) or (isinstance(value, str) and "\n" in value)


def _one_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
