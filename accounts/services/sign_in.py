"""Signing in and out, and passwords."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from accounts import audit, tokens
from accounts.models import Letter, Session, SessionKind, User
from accounts.models.user import plain_email
from accounts.services.people import refuse_weak
from mcp_site.core.errors import NotFound, Rejected


@transaction.atomic
def sign_in_tokens(*, user: User) -> tokens.Pair:
    """Begin a sign-in by tokens of `user`, whose password was right."""
    where = audit.origin()
    pair = tokens.open_with_tokens(user, address=where.address, user_agent=where.user_agent)
    audit.log(user, "auth.login", user, changes={"session": [None, str(pair.session.uid)]})
    return pair


@transaction.atomic
def sign_in_page(*, user: User, cookie_key: str, lifetime: timedelta) -> Session:
    """Begin a sign-in of the pages: Django's session `cookie_key`, at most for `lifetime`."""
    where = audit.origin()
    session = tokens.open_session(
        user,
        SessionKind.PAGE,
        lifetime=lifetime,
        address=where.address,
        user_agent=where.user_agent,
        cookie_key=cookie_key,
    )
    audit.log(user, "auth.login", user, changes={"session": [None, str(session.uid)]})
    return session


def note_failed(*, email: str, is_locked: bool) -> None:
    """Record a wrong password. The e-mail only where it is somebody's: people type passwords into that field."""
    user = User.objects.filter(email=plain_email(email)).first()
    audit.log(None, "auth.locked" if is_locked else "auth.login_failed", user, type="user")


def renew_tokens(text: str) -> tokens.Pair:
    """Exchange a refresh token for a new pair. Raises tokens.Refused; one that was used before ends its sign-in."""
    try:
        return tokens.renew(text)
    except tokens.Reused as exc:
        with transaction.atomic():
            ended = tokens.end(Session.objects.filter(pk=exc.session.pk), "refresh_reused")
            if ended:
                user = exc.session.user
                audit.log(user, "auth.refresh_reused", user, changes={"session": [str(exc.session.uid), None]})
        raise


@transaction.atomic
def sign_out(*, by: User, session: Session | None) -> None:
    """End this sign-in; without one (a cookie of before) only the line in the trail is left to write."""
    if session is not None:
        tokens.end(Session.objects.filter(pk=session.pk), "logout")
    audit.log(by, "auth.logout", by, changes={"session": [str(session.uid), None]} if session else {})


@transaction.atomic
def end_session(*, by: User, session: Session) -> None:
    """End one of the caller's own sign-ins. Raises NotFound for anybody else's."""
    if session.user_id != by.pk:
        raise NotFound
    if tokens.end(Session.objects.filter(pk=session.pk), "revoked"):
        audit.log(by, "auth.end_session", by, changes={"session": [str(session.uid), None]})


@transaction.atomic
def end_other_sessions(*, by: User, keep: Session | None) -> int:
    """End every sign-in of the caller but `keep`; return how many there were."""
    others = by.sessions.exclude(pk=keep.pk) if keep else by.sessions.all()
    ended = tokens.end(others, "revoked")
    if ended:
        audit.log(by, "auth.end_sessions", by, changes={"sessions": [len(ended), 0]})
    return len(ended)


@transaction.atomic
def change_password(*, by: User, current: str, new: str, keep: Session | None) -> None:
    """Set the caller's own password and end every other sign-in than `keep`. Raises Rejected."""
    locked = User.objects.select_for_update().get(pk=by.pk)
    if not locked.check_password(current):
        raise Rejected("is not your password", attr="current_password", code="wrong_password")
    refuse_weak(new, locked, "new_password")
    _set_password(locked, new, keep)
    by.password = locked.password
    audit.log(by, "auth.password_change", by)


def _set_password(user: User, new: str, keep: Session | None) -> None:
    user.set_password(new)
    user.save(update_fields=["password"])
    others = user.sessions.exclude(pk=keep.pk) if keep else user.sessions.all()
    tokens.end(others, "password_changed")


@transaction.atomic
def ask_reset(*, email: str, base_url: str) -> None:
    """Send a letter with a link to set a new password, if the e-mail is of somebody who can sign in."""
    user = User.objects.present().filter(email=plain_email(email)).first()
    if user is not None:
        Letter.objects.create(user=user, purpose=tokens.RESET, base_url=base_url)
        audit.log(None, "auth.reset_asked", user)


@transaction.atomic
def reset_password(*, token: str, password: str) -> User:
    """Set a new password by the token of a letter and end every sign-in. Raises Rejected."""
    found = tokens.addressee(token, tokens.RESET)
    user = User.objects.select_for_update().filter(pk=found.pk).first() if found else None
    # Asked again under the lock: of two that use the same letter at once, one does.
    if user is None or tokens.addressee(token, tokens.RESET) is None:
        raise Rejected("is not valid any more: ask for a new letter", attr="token")
    refuse_weak(password, user)
    _set_password(user, password, None)
    audit.log(user, "auth.password_reset", user)
    return user


@transaction.atomic
def password_set_by_admin(*, by: User, user: User) -> None:
    """End the sign-ins of somebody whose password was set in the Django admin."""
    tokens.end(user.sessions.all(), "password_changed")
    audit.log(by, "user.set_password", user)
