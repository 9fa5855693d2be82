"""The permission that every API view has unless it names another: signed in."""

from __future__ import annotations

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from accounts.models import User


class SignedIn(IsAuthenticated):
    """A known, active caller. What the caller may do to an object is asked of `accounts.access` by services."""


def actor(request: Request) -> User:
    """Return who asks. Raises NotAuthenticated, which a view behind `SignedIn` never sees."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user
