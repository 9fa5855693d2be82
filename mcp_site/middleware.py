"""What every request passes: a request id, and a limit on the body."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from mcp_site.core.ids import uuid7
from mcp_site.core.problems import json_error

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestId:
    """Gives the request an id (the caller's, if it is a plain one) and the response the same in `X-Request-ID`."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _ACCEPTED_ID.fullmatch(given) else str(uuid7())  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response


class BodyLimit:
    """Answers 413 to a body over the limit. The server has read it by then, so the client gets the answer."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase | HttpResponse:
        length = request.headers.get("Content-Length", "")
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and int(length[:18]) > limit:
            return json_error(request, 413, "too_large", f"The body is larger than {limit} bytes.")
        return self.get_response(request)
