"""What differs between two versions, as structure and as text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from definitions.textdiff import unified


def changes(before: Any, after: Any, path: str = "") -> list[dict[str, str]]:
    """Return `[{path, change: added | removed | changed}]` for every place where two JSON values differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _changed_names(before, after, path)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [change for place, (old, new) in pairs for change in changes(old, new, _below(path, place))]
    # True == 1 in Python; in JSON they differ.
    return [] if before == after and type(before) is type(after) else [{"path": path, "change": "changed"}]


def changed_fields(found: list[dict[str, str]]) -> list[str]:
    """Return the fields that `found` lies in: a schema, or one field of the config (`config.code`)."""
    parts = [change["path"].split(".") for change in found]
    return sorted({".".join(part[: 2 if part[0] == "config" else 1]) for part in parts})


def difference(before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    """Return `{changed, changes, text}` for the contents of two versions."""
    found = changes(before, after)
    return {"changed": changed_fields(found), "changes": found, "text": unified(before, after, *names)}


def _changed_names(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> list[dict[str, str]]:
    found = []
    for name in sorted({*before, *after}):
        place = _below(path, name)
        if name not in before:
            found.append({"path": place, "change": "added"})
        elif name not in after:
            found.append({"path": place, "change": "removed"})
        else:
            found += changes(before[name], after[name], place)
    return found


def _below(path: str, name: str | int) -> str:
    return f"{path}.{name}" if path else str(name)
