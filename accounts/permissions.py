"""The permission that every API view has unless it names another: signed in."""

from __future__ import annotations

from rest_framework.permissions import IsAuthenticated


class SignedIn(IsAuthenticated):
    """A known, active caller. What the caller may do to an object is asked of `accounts.access` by services."""
