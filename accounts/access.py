"""Who may do what: one table of roles, one rule of reach, and the only functions that answer.

Right = role ∧ reach. The role is the ceiling (ROLE_ALLOWS); reach is what owner, visibility and shares give on one
object. `reachable` answers for a whole query, `can` for one object. Both read roles and shares anew at each request.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, Protocol

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from accounts.models import Grant, Permission, Role, User
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

    pk: Any
    owner_id: int | None
    visibility: str
    _meta: ClassVar[Any]


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
    "people.view": Level.NONE,
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


LEVELS = {Permission.VIEW: Level.VIEW, Permission.RUN: Level.RUN, Permission.EDIT: Level.EDIT}


def _shared_with(user: User, kind: str) -> QuerySet[Grant]:
    """Return the shares of things of a `kind` (the model's name) that `user` has, in person or through a team."""
    return Grant.objects.filter(Q(user=user) | Q(team__in=user.groups.all()), object_type=kind)


def reachable(user: User | AnonymousUser, kind: str) -> Q:
    """Return the condition under which `user` may see a row of the model named `kind` (`workflow`)."""
    if not isinstance(user, User) or not user.is_active:
        return Q(pk__in=[])
    if user.role == Role.ADMIN:
        return Q()
    shared = _shared_with(user, kind).values("object_id")
    return Q(owner=user) | Q(visibility=Visibility.ORGANISATION) | Q(pk__in=shared)


def _own_level(user: User, obj: Owned) -> Level:
    if user.role == Role.ADMIN or obj.owner_id == user.pk:
        return Level.EDIT
    if obj.visibility == Visibility.ORGANISATION:
        return Level.RUN if user.role == Role.EDITOR else Level.VIEW
    return Level.NONE


def level(user: User, obj: Owned) -> Level:
    """Return how far `user` reaches into `obj`, before the role's ceiling. Reads the shares where they could add."""
    own = _own_level(user, obj)
    if own == Level.EDIT:
        return own
    given = _shared_with(user, obj._meta.model_name).filter(object_id=obj.pk)  # noqa: SLF001  public by convention
    return max([own, *(LEVELS[Permission(name)] for name in given.values_list("permission", flat=True))])


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
    if needed == Level.NONE:
        return True
    # Shares are read only where owner and visibility don't answer.
    return obj is not None and (_own_level(user, obj) >= needed or level(user, obj) >= needed)


def require(user: Any, action: str, obj: Owned | None = None) -> None:
    """Raise Forbidden unless `user` may do `action` on `obj`."""
    if not can(user, action, obj):
        raise Forbidden
