"""Who calls: a bearer token, an API key or the session cookie. Bad credentials are 401, never a silent anonymous."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken

from accounts.models import ApiKey, User
from mcp_site.core import clock


class Token(JWTAuthentication):
    """`Authorization: Bearer <access token>`."""


class Key(BaseAuthentication):
    """`X-API-Key: mcp_<prefix>.<secret>`. What the key may do is asked of its scopes by `permissions.SignedIn`."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """Return the key's owner and the key. Raises AuthenticationFailed in the same words whatever is wrong."""
        given = request.headers.get("X-API-Key")
        if given is None:
            return None
        key = ApiKey.objects.find(given)
        address = str(request.META.get("REMOTE_ADDR") or "")
        if key is None or not key.allows_address(address):
            raise exceptions.AuthenticationFailed("The API key is not valid here.")
        self._note_use(key, address)
        return key.owner, key

    def _note_use(self, key: ApiKey, address: str) -> None:
        now = clock.now()
        # Once a minute is enough to see that a key is alive, and spares a write for each request.
        if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now, last_used_address=address or None)

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a key that is not good."""
        return 'Bearer realm="api"'


class Session(SessionAuthentication):
    """The session cookie, with CSRF protection on writes."""

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a caller without credentials."""
        return 'Bearer realm="api"'


class SocketToken:
    """The user of a WebSocket that names a bearer token in its headers, as programs do.

    Such a socket carries no cookie, so that its Origin, which programs don't send, proves nothing.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Put the token's user into the scope: an anonymous one where the token is not good."""
        return await self.inner({**scope, "user": await self._user(scope)}, receive, send)

    @database_sync_to_async
    def _user(self, scope: Any) -> Any:
        token = JWTAuthentication()
        try:
            raw = token.get_raw_token(dict(scope["headers"]).get(b"authorization", b""))
            return token.get_user(token.get_validated_token(raw)) if raw else AnonymousUser()
        except (InvalidToken, AuthenticationFailed):
            return AnonymousUser()
