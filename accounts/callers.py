"""Who follows a stream, and whether they still may: a stream outlives the request that was checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.models import ApiKey, Session, User
from mcp_site.core import clock

# How often open streams are checked, in seconds: a right that ended ends its streams within twice this.
CHECK_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Caller:
    """A person and what they came with: a sign-in, an API key, or neither (a cookie that names no sign-in)."""

    user: int
    session: int | None = None
    key: str | None = None


def dead(callers: Iterable[Caller]) -> set[Caller]:
    """Return those of `callers` who may not go on: switched off, signed out, or with a key that has ended.

    At most three queries, however many callers there are.
    """
    asked = set(callers)
    users = set(User.objects.filter(pk__in={one.user for one in asked}, is_active=True).values_list("pk", flat=True))
    named = {one.session for one in asked if one.session is not None}
    sessions = set(Session.objects.live().filter(pk__in=named).values_list("pk", flat=True)) if named else set()
    shown = {one.key for one in asked if one.key is not None}
    keys = _live_keys(shown) if shown else set()
    return {
        one
        for one in asked
        if one.user not in users
        or (one.session is not None and one.session not in sessions)
        or (one.key is not None and one.key not in keys)
    }


def _live_keys(shown: set[str]) -> set[str]:
    now = clock.now()
    found = ApiKey.objects.filter(pk__in=shown, revoked=False).values_list("pk", "expiry_date")
    return {pk for pk, end in found if end is None or end > now}
