"""What requests bring and take: where they came from, for the audit rows, and how often more may come."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from accounts.audit import Origin, set_origin
from accounts.models import Session
from mcp_site.core import clock

_SEEN_SECONDS = 60


class AuditOrigin:
    """Sets the origin of this request's acts: its id and the address of the peer."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = getattr(request, "request_id", "")
        agent = request.headers.get("User-Agent", "")
        set_origin(Origin(request_id, request.META.get("REMOTE_ADDR") or None, agent))
        return self.get_response(request)


class RateLimitHeaders:
    """Says in each counted answer where the caller stands (the IETF draft's `RateLimit` and `RateLimit-Policy`)."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        usage = getattr(request, "rate_usage", None)
        if usage is not None:
            response["RateLimit-Policy"] = f'"{usage.name}";q={usage.limit};w=60'
            response["RateLimit"] = f'"{usage.name}";r={usage.left};t={usage.seconds}'
        return response


class SessionSeen:
    """Notes, once a minute at most, that a sign-in of the pages is in use: the account page shows when each was."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and (sid := request.session.get("sid")):
            now = clock.now()
            if now.timestamp() - request.session.get("seen", 0) > _SEEN_SECONDS:
                request.session["seen"] = now.timestamp()
                Session.objects.filter(uid=sid).update(last_seen_at=now)
        return self.get_response(request)
