"""Routes of health; mounted at the root and under /api/v1."""

from __future__ import annotations

from django.urls import path

from monitoring.api import health

urlpatterns = [
    path("health", health.Health.as_view()),
    path("health/live", health.Live.as_view()),
    path("health/ready", health.Ready.as_view()),
]
