"""Who may scrape: whoever sends METRICS_TOKEN, asks from METRICS_ALLOW, or is an Admin."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import access
from accounts.permissions import SignedIn

SCRAPER = "scraper"


class ScrapeToken(BaseAuthentication):
    """`Authorization: Bearer <METRICS_TOKEN>`: the one token that stands for nobody."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, str] | None:
        """Let the scraper in; leave every other token to who knows it."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if settings.METRICS_TOKEN and hmac.compare_digest(given, settings.METRICS_TOKEN.encode()):
            return AnonymousUser(), SCRAPER
        return None

    def authenticate_header(self, request: Request) -> str:
        """Answer 401 instead of 403 to a caller without credentials."""
        return 'Bearer realm="api"'


class MayScrape(SignedIn):
    """The scraper, the allowed networks, Admins and their keys with `metrics:read`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the caller may read the exposition."""
        if request.auth == SCRAPER or _is_allowed(str(request.META.get("REMOTE_ADDR") or "")):
            return True
        return super().has_permission(request, view) and access.can(request.user, "health.view")


def _is_allowed(address: str) -> bool:
    if not settings.METRICS_ALLOW:
        return False
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(given in ipaddress.ip_network(network, strict=False) for network in settings.METRICS_ALLOW)
