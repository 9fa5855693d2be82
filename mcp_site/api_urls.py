"""Everything under /api/v1."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/", include("accounts.api.auth_urls")),
    path("", include("accounts.api.user_urls")),
    path("", include("accounts.api.urls")),
    path("", include("monitoring.api.health_urls")),
    path("", include("monitoring.api.metrics_urls")),
    path("", include("monitoring.api.urls")),
    path("", include("connections.api.urls")),
    path("", include("definitions.api.urls")),
    path("", include("workflows.api.urls")),
    path("", include("workflows.api.hook_urls")),
]


def described_once(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave the routes that also answer at the root out of the API's documents (drf-spectacular calls this)."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]
