"""Who may do what: one table of roles, one rule of reach, and the only functions that answer.

Right = role ∧ reach. The role is the ceiling (ROLE_ALLOWS); reach is what owner and visibility (and, later,
shares) give on one object. `reachable` answers for a whole query, `can` for one object.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from accounts.models import Role, User
from accounts.models.api_key import READ_SCOPES, SCOPES
from mcp_site.core.errors import Forbidden
from mcp_site.core.models import Visibility


class Level(IntEnum):
    """How far a person reaches into one object."""

    NONE = 0
    VIEW = 1
    RUN = 2
    EDIT = 3


class Owned(Protocol):
    """An object that has an owner and a visibility."""

    owner_id: int | None
    visibility: str


# What a role may do at all, and the reach that each act needs on its object.
_VIEWER: dict[str, Level] = {
    "definition.view": Level.VIEW,
    "workflow.view": Level.VIEW,
    "connection.view": Level.VIEW,
    "run.view": Level.VIEW,
    "metric.view": Level.NONE,
    "alert.view": Level.NONE,
}
_EDITOR: dict[str, Level] = _VIEWER | {
    "definition.create": Level.NONE,
    "definition.edit": Level.EDIT,
    "definition.run": Level.RUN,
    "workflow.create": Level.NONE,
    "workflow.edit": Level.EDIT,
    "workflow.run": Level.RUN,
    "connection.create": Level.NONE,
    "connection.edit": Level.EDIT,
    "connection.use": Level.RUN,
    "connection.query": Level.RUN,
    "schedule.edit": Level.NONE,
    "trigger.edit": Level.NONE,
    "alert.edit": Level.NONE,
    "channel.edit": Level.NONE,
}
_ADMIN: dict[str, Level] = _EDITOR | {
    "user.manage": Level.NONE,
    "audit.view": Level.NONE,
    "metric.write": Level.NONE,
    "health.view": Level.NONE,
}
ROLE_ALLOWS: dict[Role, dict[str, Level]] = {Role.VIEWER: _VIEWER, Role.EDITOR: _EDITOR, Role.ADMIN: _ADMIN}


def reachable(user: User | AnonymousUser, prefix: str = "") -> Q:
    """Return the condition under which `user` may see an object whose owner and visibility stand at `prefix`."""
    if not isinstance(user, User) or not user.is_active:
        return Q(pk__in=[])
    if user.role == Role.ADMIN:
        return Q()
    return Q(**{f"{prefix}owner": user}) | Q(**{f"{prefix}visibility": Visibility.ORGANISATION})


def level(user: User, obj: Owned) -> Level:
    """Return how far `user` reaches into `obj`, before the role's ceiling."""
    if user.role == Role.ADMIN or obj.owner_id == user.pk:
        return Level.EDIT
    if obj.visibility == Visibility.ORGANISATION:
        return Level.RUN if user.role == Role.EDITOR else Level.VIEW
    return Level.NONE


# What API keys of a role's owner may be given; what the owner may do is asked again at each request.
_EDITOR_AREAS = ("definitions", "workflows", "runs", "connections", "alerts")
KEY_SCOPES: dict[Role, frozenset[str]] = {
    Role.VIEWER: READ_SCOPES,
    Role.EDITOR: READ_SCOPES | {f"{area}:write" for area in _EDITOR_AREAS} | {"connections:query"},
    Role.ADMIN: SCOPES,
}


def can(user: Any, action: str, obj: Owned | None = None) -> bool:
    """Tell whether `user` may do `action` (`workflow.run`), on `obj` where the action has one."""
    if not isinstance(user, User) or not user.is_active:
        return False
    needed = ROLE_ALLOWS[user.role].get(action)
    if needed is None:
        return False
    return needed == Level.NONE or (obj is not None and level(user, obj) >= needed)


def require(user: Any, action: str, obj: Owned | None = None) -> None:
    """Raise Forbidden unless `user` may do `action` on `obj`."""
    if not can(user, action, obj):
        raise Forbidden
