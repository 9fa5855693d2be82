"""Teams: Django groups that are no roles, to share things with."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import access, audit
from accounts.models import Role, User
from mcp_site.core.errors import Forbidden, Problem, Rejected, reject_if


def _refuse_role(name: str) -> None:
    if name.casefold() in {role.casefold() for role in Role.values}:
        raise Rejected("is the name of a role", attr="name", code="role_is_no_team")


@transaction.atomic
def create_team(*, by: User, name: str, members: Sequence[UUID] = ()) -> Group:
    """Make a team. Raises Forbidden, Rejected (the name is taken or a role's, an unknown member)."""
    access.require(by, "user.manage")
    _refuse_role(name)
    try:
        with transaction.atomic():
            team = Group.objects.create(name=name)
    except IntegrityError as exc:
        raise Rejected("is taken", attr="name", code="unique") from exc
    audit.log(by, "team.create", team, name=name)
    if members:
        set_members(by=by, team=team, members=members)
    return team


@transaction.atomic
def rename_team(*, by: User, team: Group, name: str) -> Group:
    """Give a team another name. Raises Forbidden, Rejected."""
    access.require(by, "user.manage")
    _refuse_role(name)
    before, team.name = team.name, name
    try:
        with transaction.atomic():
            team.save(update_fields=["name"])
    except IntegrityError as exc:
        raise Rejected("is taken", attr="name", code="unique") from exc
    audit.log(by, "team.update", team, name=name, changes={"name": [before, name]})
    return team


@transaction.atomic
def set_members(*, by: User, team: Group, members: Sequence[UUID]) -> Group:
    """Make `members` (people's ids) the team's members. Raises Forbidden, Rejected naming who is unknown."""
    access.require(by, "user.manage")
    # Who is in it already may stay, switched off or not.
    welcome = Q(is_active=True) | Q(groups=team)
    found = {user.uid: user for user in User.objects.filter(welcome, uid__in=members).distinct()}
    reject_if(
        Problem(f"members.{place}", "unknown_person", "nobody active has this id")
        for place, uid in enumerate(members)
        if uid not in found
    )
    before = sorted(str(user) for user in User.objects.filter(groups=team))
    team.user_set.set(found.values())
    after = sorted(map(str, found.values()))
    if before != after:
        audit.log(by, "team.update", team, name=team.name, changes={"members": [before, after]})
    return team


@transaction.atomic
def remove_team(*, by: User, team: Group) -> None:
    """Remove a team, and with it what was shared with it. Raises Forbidden."""
    access.require(by, "user.manage")
    if team.name in Role.values:
        raise Forbidden
    audit.log(by, "team.remove", team, name=team.name)
    team.delete()
