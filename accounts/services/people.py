"""People: registered, invited, changed, given a role, removed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import access, audit, tokens
from accounts.models import Grant, Letter, Role, User
from accounts.models.user import plain_email
from mcp_site.core.errors import Conflict, Forbidden, Problem, Rejected

KNOWN_EMAIL = Problem("email", "unique", "somebody has this e-mail already")
# Whoever changes who is Admin holds this row's lock, so that two Admins can't demote each other at once.
_ADMIN_GROUP = Group.objects.filter(name=Role.ADMIN)


def refuse_weak(password: str, user: User, attr: str = "password") -> None:
    """Raise Rejected where `password` breaks the rules, each with its own problem."""
    try:
        validate_password(password, user)
    except ValidationError as exc:
        problems = [Problem(attr, one.code or "invalid", " ".join(one.messages)) for one in exc.error_list]
        raise Rejected(problems) from exc


@transaction.atomic
def create_admin(*, email: str, password: str, full_name: str = "") -> User:
    """Make a user who is Admin and may use the Django admin. Only commands call this: no request can."""
    user = User.objects.create_user(email, password, full_name=full_name)
    _give(user, Role.ADMIN)
    audit.log(None, "user.create", user, changes={"email": [None, user.email], "role": [None, Role.ADMIN]})
    return user


def register(
    *, email: str, password: str, full_name: str = "", role_name: str = Role.VIEWER, invite_token: str = ""
) -> User:
    """Make an account for a stranger, or let an invited person in.

    A role is a wish: given at once where SELF_REGISTRATION_ROLES has it, else kept for an Admin to decide; `Admin` is
    never given. With an invitation, its role counts. Raises Forbidden (not open, Admin wished), Rejected.
    """
    if role_name == Role.ADMIN:
        raise Forbidden("Nobody registers as Admin. Register, then ask an Admin of your panel.", code="admin_refused")
    if settings.REGISTRATION == "closed" or (settings.REGISTRATION == "invite" and not invite_token):
        word = "closed" if settings.REGISTRATION == "closed" else "by invitation only"
        raise Forbidden(f"Registration is {word} here. Ask an Admin of your panel.", code="registration_closed")
    if invite_token:
        return _accept(email, password, full_name, invite_token)
    role = Role(role_name)
    is_given = role == Role.VIEWER or role in settings.SELF_REGISTRATION_ROLES
    user = User(email=plain_email(email), full_name=full_name, requested_role="" if is_given else role)
    refuse_weak(password, user)
    if User.objects.filter(email=user.email).exists():
        raise Rejected([KNOWN_EMAIL])
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
            _give(user, role if is_given else Role.VIEWER)
            changes = {"email": [None, user.email], "role": [None, user.role]}
            if user.requested_role:
                changes["requested_role"] = [None, user.requested_role]
            audit.log(user, "user.register", user, changes=changes)
    except IntegrityError as exc:
        # Two registered the same e-mail at once.
        raise Rejected([KNOWN_EMAIL]) from exc
    return user


@transaction.atomic
def _accept(email: str, password: str, full_name: str, invite_token: str) -> User:
    invited = tokens.addressee(invite_token, tokens.INVITATION)
    user = User.objects.select_for_update().filter(pk=invited.pk).first() if invited else None
    if user is None or not user.is_pending or user.email != plain_email(email):
        raise Rejected("is not valid: used, expired, or meant for another e-mail", attr="invite_token")
    refuse_weak(password, user)
    user.set_password(password)
    user.full_name = full_name or user.full_name
    user.save(update_fields=["password", "full_name"])
    audit.log(user, "user.accept", user, changes={"role": [None, user.role]})
    return user


@transaction.atomic
def invite(*, by: User, email: str, full_name: str, role_name: str, base_url: str) -> tuple[User, Letter]:
    """Invite somebody: the account is pending until a password is chosen by the link of the letter.

    Inviting a pending person again sends a new letter. Raises Forbidden, Rejected (the e-mail has an account).
    """
    access.require(by, "user.manage")
    user = User.objects.select_for_update().filter(email=plain_email(email)).first()
    if user is not None and not (user.is_pending and user.is_active):
        raise Rejected([KNOWN_EMAIL])
    if user is None:
        try:
            with transaction.atomic():
                user = User.objects.create_user(email, None, full_name=full_name)
        except IntegrityError as exc:
            raise Rejected([KNOWN_EMAIL]) from exc
    user.full_name = full_name or user.full_name
    user.save(update_fields=["full_name"])
    _give(user, Role(role_name))
    audit.log(by, "user.invite", user, changes={"email": [None, user.email], "role": [None, user.role]})
    return user, Letter.objects.create(user=user, purpose=tokens.INVITATION, base_url=base_url)


@transaction.atomic
def change_person(*, by: User, user: User, password: str = "", **changes: Any) -> User:
    """Change `email`, `full_name`, `role_name` or `is_active` of `user`.

    People change their own name and, with their `password`, their own e-mail; the rest is for Admins. Raises
    Forbidden, Rejected, Conflict (the last Admin).
    """
    is_admin = access.can(by, "user.manage")
    if not is_admin:
        _refuse_own_rights(by, user, changes)
    _ADMIN_GROUP.select_for_update().get()
    locked = User.objects.select_for_update().get(pk=user.pk)
    before = _facts(locked)
    email = plain_email(changes.get("email", locked.email))
    if email != locked.email:
        # Whoever has the mailbox can have the account: an open page alone must not be enough.
        if by.pk == locked.pk and not locked.check_password(password):
            raise Rejected("is needed to change your own e-mail", attr="current_password", code="wrong_password")
        if User.objects.filter(email=email).exclude(pk=locked.pk).exists():
            raise Rejected([KNOWN_EMAIL])
    locked.email = email
    locked.full_name = changes.get("full_name", locked.full_name)
    locked.is_active = changes.get("is_active", locked.is_active)
    role = Role(changes.get("role_name", locked.role))
    if (before["is_active"] and not locked.is_active) or (before["role"] == Role.ADMIN != role):
        _refuse_last_admin(locked)
    locked.save(update_fields=["email", "full_name", "is_active"])
    if role != locked.role:
        _give(locked, role)
    if not locked.is_active:
        tokens.end(locked.sessions.all(), "switched_off")
    changed = audit.diff(before, _facts(locked))
    if changed:
        audit.log(by, "user.update", locked, changes=changed)
    return locked


def _facts(user: User) -> dict[str, Any]:
    return {"email": user.email, "full_name": user.full_name, "is_active": user.is_active, "role": str(user.role)}


def _refuse_own_rights(by: User, user: User, changes: dict[str, Any]) -> None:
    if by.pk != user.pk:
        raise Forbidden
    now = {"role_name": user.role, "is_active": user.is_active}
    for name, value in now.items():
        if name in changes and changes[name] != value:
            raise Forbidden("Only an Admin changes that.", attr=name)


def _refuse_last_admin(user: User) -> None:
    if user.role == Role.ADMIN and not User.objects.admins().present().exclude(pk=user.pk).exists():
        raise Conflict("This is the last Admin. Make somebody else Admin first.", code="last_admin")


def _give(user: User, role: Role) -> None:
    """Give `user` this role and no other; the Django admin is for Admins."""
    user.groups.remove(*Group.objects.filter(name__in=Role.values))
    user.groups.add(Group.objects.get(name=role))
    user.is_staff = user.is_superuser = role == Role.ADMIN
    user.requested_role = "" if user.requested_role == role else user.requested_role
    user.save(update_fields=["is_staff", "is_superuser", "requested_role"])
    user.__dict__.pop("role", None)


@transaction.atomic
def set_role(*, user: User, role: Role, by: User | None) -> None:
    """Give `user` this role and no other. Raises Conflict for the last Admin."""
    _ADMIN_GROUP.select_for_update().get()
    before = user.role
    if before == Role.ADMIN != role:
        _refuse_last_admin(user)
    _give(user, role)
    audit.log(by, "user.set_role", user, changes={"role": [before, role]})


@transaction.atomic
def decide_role(*, by: User, user: User, is_granted: bool) -> User:
    """Grant or refuse the role that `user` asked for. Raises Forbidden, Conflict where none was asked for."""
    access.require(by, "user.manage")
    locked = User.objects.select_for_update().get(pk=user.pk)
    if not locked.requested_role:
        raise Conflict("This person asks for no role.", code="nothing_requested")
    wish = Role(locked.requested_role)
    locked.requested_role = ""
    locked.save(update_fields=["requested_role"])
    if is_granted:
        set_role(user=locked, role=wish, by=by)
    else:
        audit.log(by, "user.refuse_role", locked, changes={"requested_role": [wish, None]})
    return locked


@transaction.atomic
def remove_person(*, by: User, user: User) -> None:
    """Switch the account off for ever and take the person's data out of it; what was done stays in the audit trail.

    Keys and sign-ins end, shares go; what the person owned stays theirs, in reach of Admins. Raises Forbidden,
    Conflict (the last Admin).
    """
    access.require(by, "user.manage")
    _ADMIN_GROUP.select_for_update().get()
    locked = User.objects.select_for_update().get(pk=user.pk)
    _refuse_last_admin(locked)
    tokens.end(locked.sessions.all(), "removed")
    locked.api_keys.filter(revoked=False).update(revoked=True)
    Grant.objects.filter(user=locked).delete()
    locked.letters.all().delete()
    locked.groups.clear()
    locked.email = f"removed-{locked.uid.hex}@panel.invalid"
    locked.full_name = "Removed person"
    locked.is_active = locked.is_staff = locked.is_superuser = False
    locked.requested_role = ""
    locked.set_unusable_password()
    locked.save()
    audit.log(by, "user.remove", locked)


@transaction.atomic
def apply_groups(*, by: User, user: User, before: Iterable[str]) -> None:
    """Make what follows from the groups that the Django admin saved: one role, its flags, a line in the trail.

    `before` are the names of the groups until then. Raises Conflict for the last Admin: the admin undoes the rest.
    """
    _ADMIN_GROUP.select_for_update().get()
    names = set(user.groups.values_list("name", flat=True))
    role = next((one for one in (Role.ADMIN, Role.EDITOR) if one in names), Role.VIEWER)
    was_admin = Role.ADMIN in before
    _give(user, role)
    if was_admin and not User.objects.admins().present().exists():
        raise Conflict("This is the last Admin. Make somebody else Admin first.", code="last_admin")
    after = sorted(user.groups.values_list("name", flat=True))
    if sorted(before) != after:
        audit.log(by, "user.set_groups", user, changes={"groups": [sorted(before), after]})
    if not user.is_active:
        tokens.end(user.sessions.all(), "switched_off")
