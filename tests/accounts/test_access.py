"""The table of rights."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts import access
from accounts.access import Level
from accounts.models import Role, User
from mcp_site.core.errors import Forbidden
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


def thing(owner: User | None, visibility: str) -> Workflow:
    return Workflow.objects.create(slug=f"w{Workflow.objects.count()}", owner=owner, visibility=visibility)


def test_reach_by_owner_and_visibility(ada: User, ben: User, cyd: User, dov: User) -> None:
    private, shared = thing(ben, "private"), thing(ben, "organisation")

    assert [access.level(user, private) for user in (ada, ben, cyd, dov)] == [
        Level.EDIT,
        Level.EDIT,
        Level.NONE,
        Level.NONE,
    ]
    assert [access.level(user, shared) for user in (ada, ben, cyd, dov)] == [
        Level.EDIT,
        Level.EDIT,
        Level.VIEW,
        Level.RUN,
    ]


def test_the_role_is_the_ceiling_also_for_owners(cyd: User) -> None:
    own = thing(cyd, "private")

    assert access.can(cyd, "workflow.view", own)
    assert not access.can(cyd, "workflow.run", own)
    assert not access.can(cyd, "workflow.edit", own)
    assert not access.can(cyd, "workflow.create")


def test_nobody_and_the_switched_off_may_do_nothing(ben: User) -> None:
    shared = thing(ben, "organisation")
    ben.is_active = False

    for user in (AnonymousUser(), ben, None):
        assert not any(access.can(user, action, shared) for action in access.ROLE_ALLOWS[Role.ADMIN])


def test_an_unknown_action_is_nobodys(ada: User) -> None:
    with pytest.raises(Forbidden):
        access.require(ada, "workflow.explode")


def test_each_role_may_do_all_that_the_one_below_may() -> None:
    viewer, editor, admin = (set(access.ROLE_ALLOWS[role]) for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN))

    assert viewer < editor < admin
