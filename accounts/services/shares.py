"""Shares: who beside the owner may see, run or edit a thing."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from accounts import access, audit
from accounts.models import Grant, Permission, Role, User
from mcp_site.core.errors import Conflict, Rejected


def _kind(thing: access.Owned) -> str:
    return str(thing._meta.model_name)  # noqa: SLF001  public by convention


def _receiver(grant: Grant) -> str:
    return str(grant.user or grant.team)


@transaction.atomic
def share(
    *, by: User, thing: Any, permission: Permission, user: User | None = None, team: Group | None = None
) -> Grant:
    """Let a person or a team `view`, `run` or `edit` a thing. Raises Forbidden, Rejected, Conflict (shared already)."""
    access.require(by, f"{_kind(thing)}.edit", thing)
    if (user is None) == (team is None):
        raise Rejected("name a user or a team, not both", attr="user", code="one_receiver")
    if team is not None and team.name in Role.values:
        raise Rejected("roles are not teams; use the visibility `organisation`", attr="team", code="role_is_no_team")
    if user is not None and user.pk == thing.owner_id:
        raise Rejected("owns it already", attr="user", code="is_owner")
    try:
        with transaction.atomic():
            grant = Grant.objects.create(
                object_type=_kind(thing),
                object_id=thing.pk,
                user=user,
                team=team,
                permission=permission,
                created_by=by,
            )
    except IntegrityError as exc:
        raise Conflict("It is shared with them already; change that share.", code="already_shared") from exc
    audit.log(by, f"{_kind(thing)}.share", thing, changes={_receiver(grant): [None, permission]})
    return grant


@transaction.atomic
def change_share(*, by: User, thing: Any, grant: Grant, permission: Permission) -> Grant:
    """Change how far a share reaches. Raises Forbidden."""
    access.require(by, f"{_kind(thing)}.edit", thing)
    before, grant.permission = grant.permission, permission
    grant.save(update_fields=["permission", "updated_at"])
    audit.log(by, f"{_kind(thing)}.share", thing, changes={_receiver(grant): [before, permission]})
    return grant


@transaction.atomic
def unshare(*, by: User, thing: Any, grant: Grant) -> None:
    """Take a share back. Raises Forbidden."""
    access.require(by, f"{_kind(thing)}.edit", thing)
    audit.log(by, f"{_kind(thing)}.unshare", thing, changes={_receiver(grant): [grant.permission, None]})
    grant.delete()
