"""Every route and method of the URLconf, by its template: `GET /api/v1/runs/{uid}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

_METHODS = ("get", "post", "put", "patch", "delete")
_NAMED = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")


def _walk(patterns: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from _walk(pattern.url_patterns, route)


def _methods(callback: Any) -> list[str]:
    if actions := getattr(callback, "actions", None):
        return sorted(actions)
    view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
    return [name for name in _METHODS if hasattr(view, name)] if view else ["get"]


def _template(route: str) -> str:
    for mark in ("^", r"\Z", "$"):
        route = route.replace(mark, "")
    return "/" + _CONVERTED.sub(r"{\1}", _NAMED.sub(r"{\1}", route)).replace("\\", "")


def every_route() -> list[str]:
    """Return them sorted, those of the Django admin as one each (`GET /admin/…`)."""
    found = set()
    for route, callback in _walk(get_resolver().url_patterns):
        template = _template(route)
        found |= {f"{method.upper()} {template}" for method in _methods(callback)}
    return sorted(found)
