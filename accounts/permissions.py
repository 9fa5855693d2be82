"""The permission that every API view has unless it names another: signed in, and a key's scope where a key calls."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request

from accounts.models import ApiKey, User


class SignedIn(IsAuthenticated):
    """A known, active caller; with an API key only where its scopes reach.

    A view names its `area` (`runs`), and for single actions another scope in `scopes`
    ({"query": "connections:query"}). A view without an area is out of reach of every key. What the caller may do to an
    object is asked of `accounts.access` by services, keys and people alike.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the caller may come in."""
        if not super().has_permission(request, view):
            return False
        key = request.auth
        if not isinstance(key, ApiKey):
            return True
        needed = needed_scope(request, view)
        return needed is not None and key.has_scope(needed)


def needed_scope(request: Request, view: Any) -> str | None:
    """Return the scope that a key needs for this request, or None where no key may go."""
    special: dict[str, str] = getattr(view, "scopes", {})
    if (action := getattr(view, "action", None)) in special:
        return special[str(action)]
    area = getattr(view, "area", None)
    return f"{area}:{'read' if request.method in SAFE_METHODS else 'write'}" if area else None


def actor(request: Request) -> User:
    """Return who asks. Raises NotAuthenticated, which a view behind `SignedIn` never sees."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
