"""Who calls: a bearer token or the session cookie. Bad credentials are 401, never a silent anonymous."""

from __future__ import annotations

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication


class Token(JWTAuthentication):
    """`Authorization: Bearer <access token>`."""


class Session(SessionAuthentication):
    """The session cookie, with CSRF protection on writes."""

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a caller without credentials."""
        return 'Bearer realm="api"'
