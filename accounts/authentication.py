"""Who calls: a bearer token, an API key, the session cookie, or a ticket for a stream.

Bad credentials are 401, never a silent anonymous.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken

from accounts import audit, tokens
from accounts.callers import Caller
from accounts.models import ApiKey, Session, User
from accounts.models.api_key import MARK
from mcp_site.core import clock

REALM = 'Bearer realm="api"'
_ENDED = "The token is not valid any more. Sign in again."


class LockedOut(Exception):
    """Too many wrong passwords for this person from this address."""


def wait_seconds() -> int:
    """Return how long somebody who is locked out waits."""
    wait: timedelta = settings.AXES_COOLOFF_TIME
    return int(wait.total_seconds())


def check_password(request: HttpRequest, email: str, password: str) -> User | None:
    """Return who has this e-mail and password, or None. Raises LockedOut. Takes as long for an unknown e-mail."""
    user = authenticate(request, username=email, password=password)
    if getattr(request, "axes_locked_out", False):
        raise LockedOut
    return user


class Token(JWTAuthentication):
    """`Authorization: Bearer <access token>`. `request.auth` is the sign-in that the token names."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:  # type: ignore[override]  # not the token
        """Return the user and the sign-in. Raises AuthenticationFailed."""
        header: bytes = self.get_header(request) or b""
        raw = self.get_raw_token(header)
        if raw is None:
            return None
        session = self.session(raw)
        return session.user, session

    def session(self, raw: bytes) -> Session:
        """Return the sign-in of an access token. Raises AuthenticationFailed."""
        try:
            return tokens.session_of(self.get_validated_token(raw))
        except (InvalidToken, tokens.Refused) as exc:
            raise exceptions.AuthenticationFailed(_ENDED) from exc


class Key(BaseAuthentication):
    """`X-API-Key: mcp_<prefix>.<secret>`. What the key may do is asked of its scopes by `permissions.SignedIn`."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """Return the key's owner and the key. Raises AuthenticationFailed in the same words whatever is wrong."""
        given = request.headers.get("X-API-Key")
        if given is None:
            return None
        key = find_key(given, str(request.META.get("REMOTE_ADDR") or ""))
        if key is None:
            raise exceptions.AuthenticationFailed("The API key is not valid here.")
        audit.note_key(f"{MARK}{key.prefix}")
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a key that is not good."""
        return REALM


def find_key(text: str, address: str) -> ApiKey | None:
    """Return the key that `text` is, if it may be used now and from `address`; note the use."""
    key = ApiKey.objects.find(text)
    if key is None or not key.allows_address(address):
        return None
    now = clock.now()
    # Once a minute is enough to see that a key is alive, and spares a write for each request.
    if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_address=address or None)
    return key


class Cookie(SessionAuthentication):
    """The session cookie, with CSRF protection on writes."""

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a caller without credentials."""
        return REALM


class Ticket(BaseAuthentication):
    """`?ticket=` on a stream: the only credential that a URL may hold, good once and for 30 seconds."""

    def authenticate(self, request: Request) -> tuple[User, Session | None] | None:
        """Return whose ticket it is. Raises AuthenticationFailed."""
        given = request.query_params.get("ticket")
        if given is None:
            return None
        found = tokens.redeem(given)
        if found is None:
            raise exceptions.AuthenticationFailed("The ticket is not valid any more. Ask for a new one.")
        return found

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403."""
        return REALM


def session_of(request: Request | HttpRequest) -> Session | None:
    """Return the sign-in by which this request came; None for keys, and for cookies that name none."""
    auth = getattr(request, "auth", None)
    if isinstance(auth, Session):
        return auth
    sid = getattr(request, "session", {}).get("sid") if auth is None else None
    return Session.objects.filter(uid=sid).first() if sid else None


def caller_of(request: Request) -> Caller:
    """Return who calls, as streams remember it."""
    user = int(request.user.pk or 0)
    if isinstance(request.auth, ApiKey):
        return Caller(user, key=request.auth.pk)
    session = session_of(request)
    return Caller(user, session.pk if session else None)


class SocketCredentials:
    """The user and the caller of a WebSocket that names its credentials itself: a header or a ticket.

    Such a socket carries no cookie, so that its Origin, which programs don't send, proves nothing.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @staticmethod
    def are_in(scope: Any) -> bool:
        """Tell whether the socket names credentials of its own."""
        by_header = any(name in (b"authorization", b"x-api-key") for name, _ in scope["headers"])
        return by_header or "ticket" in parse_qs(scope.get("query_string", b"").decode("ascii", "replace"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Put the user into the scope: an anonymous one where the credentials are not good."""
        user, caller = await self._find(scope)
        return await self.inner({**scope, "user": user, "caller": caller}, receive, send)

    @database_sync_to_async
    def _find(self, scope: Any) -> tuple[Any, Caller | None]:
        headers = dict(scope["headers"])
        query = parse_qs(scope.get("query_string", b"").decode("ascii", "replace"))
        try:
            if b"authorization" in headers:
                return self._by_token(headers[b"authorization"])
            if b"x-api-key" in headers:
                return self._by_key(headers[b"x-api-key"].decode("latin-1"), scope)
            found = tokens.redeem(query["ticket"][0])
        except (exceptions.AuthenticationFailed, AuthenticationFailed):
            found = None
        if found is None:
            return AnonymousUser(), None
        user, session = found
        return user, Caller(user.pk, session.pk if session else None)

    def _by_token(self, header: bytes) -> tuple[Any, Caller | None]:
        token = Token()
        raw = token.get_raw_token(header)
        if raw is None:
            return AnonymousUser(), None
        session = token.session(raw)
        return session.user, Caller(session.user_id, session.pk)

    def _by_key(self, text: str, scope: Any) -> tuple[Any, Caller | None]:
        key = find_key(text, str((scope.get("client") or [""])[0]))
        if key is None or not key.has_scope("runs:read"):
            return AnonymousUser(), None
        return key.owner, Caller(key.owner_id, key=key.pk)


async def caller_of_socket(scope: Any) -> Caller:
    """Return who opened a WebSocket, whatever they came with."""
    known = scope.get("caller")
    if isinstance(known, Caller):
        return known
    found: Caller = await database_sync_to_async(_caller_of_cookie)(scope)
    return found


def _caller_of_cookie(scope: Any) -> Caller:
    sid = scope["session"].get("sid") if "session" in scope else None
    session = Session.objects.filter(uid=sid).first() if sid else None
    return Caller(scope["user"].pk, session.pk if session else None)
