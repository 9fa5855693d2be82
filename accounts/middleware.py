"""What requests bring and take: where they came from, for the audit rows, and how often more may come."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from accounts.audit import Origin, set_origin


class AuditOrigin:
    """Sets the origin of this request's acts: its id and the address of the peer."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        set_origin(Origin(getattr(request, "request_id", ""), request.META.get("REMOTE_ADDR") or None))
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
