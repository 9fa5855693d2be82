"""Every error of the API in one shape: `{"type", "errors": [{"code", "detail", "attr"}]}`.

drf-standardized-errors makes it for DRF's own exceptions; this module adds ours and what fails outside DRF.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from drf_standardized_errors.handler import exception_handler as standard_handler
from rest_framework.response import Response
from rest_framework.views import set_rollback

from mcp_site.core.errors import AppError, Rejected


def error_body(kind: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of an error answer. `kind` is `validation_error`, `client_error` or `server_error`."""
    return {"type": kind, "errors": errors}


def body_of(exc: AppError) -> dict[str, Any]:
    """Return the body that tells a client of `exc`."""
    if isinstance(exc, Rejected):
        errors = [{"code": p.code, "detail": p.detail, "attr": p.path or None} for p in exc.problems]
        for entry, problem in zip(errors, exc.problems, strict=True):
            if problem.line is not None:
                entry["line"] = str(problem.line)
        return error_body("validation_error", errors)
    kind = "server_error" if exc.status >= 500 else "client_error"
    return error_body(kind, [{"code": exc.code, "detail": exc.detail, "attr": exc.attr}])


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer `exc`; DRF calls this for whatever a view raised."""
    if isinstance(exc, AppError):
        # DRF rolls back for its own exceptions only; without this a half-done write would stay.
        set_rollback()
        return Response(body_of(exc), status=exc.status)
    response = standard_handler(exc, context)  # type: ignore[arg-type]  # DRF hands over just this
    if response is not None and isinstance(response.data, dict):
        for error in response.data.get("errors", ()):
            # What is wrong with the body as a whole has no path.
            if error["attr"] == "non_field_errors":
                error["attr"] = None
    return response


def json_error(request: HttpRequest, status: int, code: str, detail: str) -> JsonResponse:
    """Return the same shape for an error that no DRF view saw (404 of the router, 413, 500)."""
    kind = "server_error" if status >= 500 else "client_error"
    return JsonResponse(error_body(kind, [{"code": code, "detail": detail, "attr": None}]), status=status)
