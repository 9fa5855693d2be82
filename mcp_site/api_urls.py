"""Everything under /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/", include("accounts.api.auth_urls")),
    path("", include("monitoring.api.health_urls")),
    path("", include("connections.api.urls")),
    path("", include("definitions.api.urls")),
    path("", include("workflows.api.urls")),
]
