"""What lets a person in: sign-ins with their tokens, letters with a link (invitation, reset), tickets for streams.

A sign-in is a row (`Session`). Tokens name it (`sid`), and it is read together with the user at each request, so that
ending it ends them at once. Ending and issuing are recorded by the services that call this module.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.sessions.models import Session as Cookie
from django.core import signing
from django.core.cache import cache
from django.db import transaction
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, Token

from accounts.models import Session, SessionKind, User
from accounts.models.session import SessionQuerySet
from mcp_site.core import clock

TICKET_SECONDS = 30
# A sign-in of which nothing was heard for so long is shown as last seen then; spares a write for each request.
SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of a sign-in; `expires_in` are the seconds that the access token lives."""

    session: Session
    access: str
    refresh: str
    expires_in: int


class Refused(Exception):
    """The token is not valid any more."""


class Reused(Refused):
    """A refresh token that was used before: somebody else may have it, so its sign-in has to end."""

    def __init__(self, session: Session) -> None:
        self.session = session
        super().__init__()


def open_session(
    user: User, kind: SessionKind, *, lifetime: timedelta, address: str | None, user_agent: str, cookie_key: str = ""
) -> Session:
    """Begin a sign-in of `user` that ends by itself after `lifetime`."""
    return Session.objects.create(
        user=user,
        kind=kind,
        cookie_key=cookie_key,
        address=address,
        user_agent=user_agent[:300],
        expires_at=clock.now() + lifetime,
    )


def open_with_tokens(user: User, *, address: str | None, user_agent: str) -> Pair:
    """Begin a sign-in of a program and return its first tokens."""
    lifetime = api_settings.REFRESH_TOKEN_LIFETIME
    session = open_session(user, SessionKind.TOKEN, lifetime=lifetime, address=address, user_agent=user_agent)
    return _issue(session)


def _issue(session: Session) -> Pair:
    """Make new tokens of `session`; the refresh token before stops being the one that may be used."""
    refresh = RefreshToken()
    refresh["sid"] = str(session.uid)
    session.refresh_id = refresh["jti"]
    session.last_seen_at = clock.now()
    session.expires_at = session.last_seen_at + api_settings.REFRESH_TOKEN_LIFETIME
    session.save(update_fields=["refresh_id", "last_seen_at", "expires_at"])
    seconds = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())
    return Pair(session, str(refresh.access_token), str(refresh), seconds)


@transaction.atomic
def renew(text: str) -> Pair:
    """Exchange a refresh token for a new pair. Raises Refused, or Reused where its sign-in has to be ended."""
    try:
        token = RefreshToken(text)  # type: ignore[arg-type]  # the stubs want a Token; the text is what comes
    except TokenError as exc:
        raise Refused from exc
    session = _named(token, Session.objects.select_for_update(of=("self",)))
    if not (session.is_live() and session.user.is_active):
        raise Refused
    if session.refresh_id != token["jti"]:
        raise Reused(session)
    return _issue(session)


def session_of(token: Token) -> Session:
    """Return the live sign-in that a valid token names, with its user. Raises Refused."""
    session = _named(token, Session.objects.all())
    if not (session.is_live() and session.user.is_active):
        raise Refused
    now = clock.now()
    if now - session.last_seen_at > SEEN_EVERY:
        Session.objects.filter(pk=session.pk).update(last_seen_at=now)
    return session


def _named(token: Token, rows: SessionQuerySet) -> Session:
    """Return the sign-in that `token` names, with its user, out of `rows`. Raises Refused."""
    try:
        uid = UUID(str(token.get("sid")))
    except ValueError as exc:
        raise Refused from exc
    found = rows.select_related("user").filter(uid=uid).first()
    if found is None:
        raise Refused
    return found


def end(sessions: SessionQuerySet, reason: str) -> list[Session]:
    """End these sign-ins, their cookies too, and return those that were live. Call it inside a transaction."""
    ended = list(sessions.filter(ended_at__isnull=True).select_for_update(of=("self",)))
    if ended:
        Session.objects.filter(pk__in=[one.pk for one in ended]).update(ended_at=clock.now(), end_reason=reason)
        Cookie.objects.filter(session_key__in=[one.cookie_key for one in ended if one.cookie_key]).delete()
    return ended


def forget_old() -> None:
    """Remove sign-ins that were over 90 days ago, and Django's rows of cookies that have expired (a daily tick)."""
    now = clock.now()
    Session.objects.filter(expires_at__lt=now - timedelta(days=90)).delete()
    Cookie.objects.filter(expire_date__lt=now).delete()


# Letters ------------------------------------------------------------
INVITATION, RESET = "invitation", "reset"
LETTER_LIFETIME = {INVITATION: timedelta(days=7), RESET: timedelta(hours=1)}


def _state(user: User) -> str:
    """Return what changes as soon as a letter was used, so that it works once."""
    return salted_hmac("accounts.letter", f"{user.password} {user.email} {user.is_active}").hexdigest()[:20]


def letter(user: User, purpose: str) -> str:
    """Return the token of a letter to `user`: for one use, and only as long as `LETTER_LIFETIME` says."""
    return signing.dumps({"user": str(user.uid), "state": _state(user)}, salt=f"accounts.{purpose}")


def addressee(text: str, purpose: str) -> User | None:
    """Return who a letter's token was written to, if it may still be used for `purpose`."""
    try:
        said: dict[str, Any] = signing.loads(text, salt=f"accounts.{purpose}", max_age=LETTER_LIFETIME[purpose])
        user = User.objects.filter(uid=UUID(said["user"]), is_active=True).first()
    except (signing.BadSignature, ValueError, KeyError, TypeError):
        return None
    return user if user is not None and said.get("state") == _state(user) else None


# Tickets ------------------------------------------------------------
def _ticket_key(text: str) -> str:
    return f"ticket:{hashlib.sha256(text.encode()).hexdigest()}"


def ticket(user: User, session: Session | None) -> str:
    """Return a ticket that opens one stream for `user` within 30 s: what a URL may hold, since it is soon nothing."""
    text = secrets.token_urlsafe(24)
    cache.set(_ticket_key(text), [user.pk, session.pk if session else None], TICKET_SECONDS)
    return text


def redeem(text: str) -> tuple[User, Session | None] | None:
    """Return whose ticket `text` is and by which sign-in, once."""
    key = _ticket_key(text)
    said = cache.get(key)
    # Whoever removes it has it: of two that come at once, one.
    if said is None or not cache.delete(key):
        return None
    user = User.objects.filter(pk=said[0], is_active=True).first()
    session = Session.objects.live().filter(pk=said[1]).first() if said[1] else None
    if user is None or (said[1] and session is None):
        return None
    return user, session
