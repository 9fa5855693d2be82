"""What people do with accounts."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import transaction

from accounts import audit
from accounts.models import Role, User


@transaction.atomic
def create_admin(*, email: str, password: str, full_name: str = "") -> User:
    """Make a user who is Admin and may use the Django admin."""
    user = User.objects.create_user(email, password, full_name=full_name, is_staff=True, is_superuser=True)
    user.groups.add(Group.objects.get(name=Role.ADMIN))
    audit.log(None, "user.create", user, changes={"email": [None, user.email], "role": [None, Role.ADMIN]})
    return user


@transaction.atomic
def set_role(*, user: User, role: Role, by: User | None) -> None:
    """Give `user` this role and no other."""
    before = user.role
    user.groups.remove(*Group.objects.filter(name__in=Role.values))
    user.groups.add(Group.objects.get(name=role))
    user.__dict__.pop("role", None)
    audit.log(by, "user.set_role", user, changes={"role": [before, role]})
