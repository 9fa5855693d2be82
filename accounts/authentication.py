"""Who calls: a bearer token or the session cookie. Bad credentials are 401, never a silent anonymous."""

from __future__ import annotations

from typing import Any

from channels.db import database_sync_to_async
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken


class Token(JWTAuthentication):
    """`Authorization: Bearer <access token>`."""


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
