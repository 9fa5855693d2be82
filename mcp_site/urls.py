"""The table of routes: pages at the root, the API under /api/v1, and the names that clients know at both."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerView

from mcp_site.core.problems import json_error

# Everything a program asks: errors there are JSON, whatever goes wrong.
_API_PREFIXES = ("/api/", "/auth/", "/users", "/orchestration/", "/metrics", "/health", "/hooks/", "/openapi.json")


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith(_API_PREFIXES) and not request.path.endswith(("/users/", "/health/"))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404 in the caller's language: JSON to programs, a page to people."""
    if _is_api(request):
        return json_error(request, 404, "not_found", "There is nothing at this address.")
    return render(request, "error.html", {"status": 404, "title": "Not found"}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without a word of what happened inside; the log has it under the request id."""
    if _is_api(request):
        return json_error(request, 500, "error", "Something went wrong here. The log has it under the request id.")
    return render(request, "error.html", {"status": 500, "title": "Something went wrong"}, status=500)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400 for what Django itself refuses (a wrong Host, a broken multipart body)."""
    if _is_api(request):
        return json_error(request, 400, "bad_request", "The request is not well formed.")
    return render(request, "error.html", {"status": 400, "title": "Bad request"}, status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403 where a page or a program may see something but not do it."""
    if _is_api(request):
        return json_error(request, 403, "permission_denied", "You are not allowed to do that.")
    return render(request, "error.html", {"status": 403, "title": "Not allowed"}, status=403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a write by cookie without the token of a page of ours."""
    if _is_api(request):
        return json_error(request, 403, "csrf_failed", "A write by cookie needs the CSRF token of a page.")
    return render(request, "403_csrf.html", status=403)


handler400 = "mcp_site.urls.bad_request"
handler403 = "mcp_site.urls.forbidden"
handler404 = "mcp_site.urls.not_found"
handler500 = "mcp_site.urls.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("mcp_site.api_urls")),
    path("auth/", include("accounts.api.auth_urls")),
    path("", include("accounts.api.user_urls")),
    path("", include("monitoring.api.health_urls")),
    path("", include("monitoring.api.metrics_urls")),
    path("", include("workflows.api.hook_urls")),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="openapi"), name="redoc"),
    # One door for people: the admin has no sign-in page of its own.
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account")),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("monitoring.urls")),
    path("", include("workflows.urls")),
    path("", include("definitions.urls")),
    path("", include("connections.urls")),
    # Programs get their 404 as JSON even where APPEND_SLASH or a page would have a word.
    re_path(r"^api/.*$", csrf_exempt(not_found)),
]
