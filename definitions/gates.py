"""What speaks against a definition's name, tags and visibility. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_site.core.errors import Problem
from mcp_site.core.ids import Reference
from mcp_site.core.models import Visibility

MAX_NAME = 200
MAX_DESCRIPTION = 10_000
MAX_TAGS = 20
MAX_TAG = 50
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}")


def is_slug(text: str) -> bool:
    """Tell whether `text` can name a definition for good."""
    try:
        return Reference.parse(text) == Reference(text)
    except ValueError:
        return False


def is_alias(text: str) -> bool:
    """Tell whether `text` can be an alias: a number never is one."""
    return _ALIAS.fullmatch(text) is not None


def reasons_against(given: Mapping[str, Any]) -> Iterable[Problem]:
    """Yield what is wrong with the given fields, of slug, name, description, tags, visibility."""
    if "slug" in given and not is_slug(given["slug"]):
        yield Problem("slug", "invalid", "small letters, digits and hyphens (at most 63), not starting with a hyphen")
    if "name" in given and not (given["name"].strip() and len(given["name"]) <= MAX_NAME):
        yield Problem("name", "invalid", f"from 1 to {MAX_NAME} characters")
    if len(given.get("description", "")) > MAX_DESCRIPTION:
        yield Problem("description", "too_long", f"at most {MAX_DESCRIPTION} characters")
    if "visibility" in given and given["visibility"] not in Visibility.values:
        yield Problem("visibility", "invalid_choice", f"one of {', '.join(Visibility.values)}")
    if not _are_tags(given.get("tags", [])):
        yield Problem("tags", "invalid", f"at most {MAX_TAGS} different texts of 1 to {MAX_TAG} characters")


def _are_tags(tags: Any) -> bool:
    return (
        isinstance(tags, list | tuple)
        and len(tags) <= MAX_TAGS
        and all(isinstance(tag, str) and 0 < len(tag) <= MAX_TAG for tag in tags)
        and len(set(tags)) == len(tags)
    )
