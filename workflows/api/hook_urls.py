"""The addresses that outside systems call; mounted at the root and under /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, path

from workflows.api.hooks import Hook

urlpatterns: list[URLPattern] = [path("hooks/<str:token>", Hook.as_view(), name="hook")]
