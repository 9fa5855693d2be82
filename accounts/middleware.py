"""Remembers, for the audit rows that a request will write, where it came from."""

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
