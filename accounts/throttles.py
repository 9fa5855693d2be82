"""How often a caller may ask: counted by django-ratelimit in the shared cache, per user or address and class of route.

One counter gives both the refusal and the `RateLimit` headers, so that they never disagree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models.user import plain_email

logger = logging.getLogger(__name__)
WINDOW = 60


@dataclass(frozen=True, slots=True)
class Usage:
    """Where a caller stands: the limit per minute, what is left of it, and the seconds until it begins anew."""

    name: str
    limit: int
    left: int
    seconds: int
    is_over: bool


def count(request: HttpRequest, name: str, caller: str) -> Usage | None:
    """Count one request of `caller` in the class `name`; None where there is no limit or no cache to count in."""
    limit = settings.RATES.get(name, 0)
    if not limit:
        return None
    key: Callable[[str, HttpRequest], str] = lambda _group, _request: caller  # noqa: E731  django-ratelimit's way
    try:
        usage = get_usage(request, group=f"panel.{name}", key=key, rate=f"{limit}/m", increment=True)
    except (RedisError, ConnectionInterrupted):
        # Better a panel without limits than none: the cache is down, the database may not be.
        logger.warning("requests are not counted: the cache does not answer")
        return None
    if usage is None:
        return None
    left = max(0, usage["limit"] - usage["count"])
    return Usage(name, usage["limit"], left, max(1, int(usage["time_left"])), usage["should_limit"])


def address_of(request: HttpRequest) -> str:
    """Return the address of the peer; what a proxy says of it is for the server to believe, not for us."""
    return str(request.META.get("REMOTE_ADDR") or "unknown")


def username_of(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """Return whom a try to sign in is for, as django-axes counts it: the e-mail as it is stored."""
    given = (credentials or {}).get("username") or ""
    return plain_email(str(given))


def count_login(request: HttpRequest, email: str) -> Usage | None:
    """Count a try to sign in, per address and e-mail and per address; return the counter that is over, or the first."""
    address = address_of(request)
    counted = [
        count(request, "login", f"{address} {plain_email(email)}"),
        count(request, "login_address", address),
    ]
    known = [usage for usage in counted if usage is not None]
    return next((usage for usage in known if usage.is_over), known[0] if known else None)


class _Counted(BaseThrottle):
    """A throttle that counts once, leaves the count for the headers, and knows how long to wait."""

    def __init__(self) -> None:
        self.usage: Usage | None = None

    def count(self, request: Request, view: Any) -> Usage | None:
        """Count this request."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: Any) -> bool:
        """Tell whether the caller may come in."""
        self.usage = self.count(request, view)
        request._request.rate_usage = self.usage  # type: ignore[attr-defined]  # noqa: SLF001  DRF wraps it
        return self.usage is None or not self.usage.is_over

    def wait(self) -> float | None:
        """Return the seconds for Retry-After."""
        return float(self.usage.seconds) if self.usage else None


class Rate(_Counted):
    """The limit of a route: the view's `rate`, or `rates` by action (`run`, `query`), else `read` or `write`."""

    def count(self, request: Request, view: Any) -> Usage | None:
        """Count for the user, or for the address of somebody unknown."""
        is_read = request.method in ("GET", "HEAD", "OPTIONS")
        by_action = getattr(view, "rates", {}).get(getattr(view, "action", None))
        name = "read" if is_read else str(by_action or getattr(view, "rate", "write"))
        user = request.user
        caller = f"user {user.pk}" if user.is_authenticated else address_of(request._request)  # noqa: SLF001
        return count(request._request, name, caller)  # noqa: SLF001


class LoginRate(_Counted):
    """The limit of signing in by API, by address and e-mail."""

    def count(self, request: Request, view: Any) -> Usage | None:
        """Count the try; a body without an e-mail counts for the address."""
        given = request.data.get("email") if isinstance(request.data, dict) else None
        return count_login(request._request, given if isinstance(given, str) else "")  # noqa: SLF001


class RegisterRate(_Counted):
    """The limit of what strangers may have the panel do: register, ask for a letter, use one; by address."""

    def count(self, request: Request, view: Any) -> Usage | None:
        """Count for the address."""
        return count(request._request, "register", address_of(request._request))  # noqa: SLF001
