"""Routes of signing in; mounted at /auth and /api/v1/auth."""

from __future__ import annotations

from django.urls import path

from accounts.api import views

urlpatterns = [
    path("login", views.Login.as_view()),
    path("refresh", views.Refresh.as_view()),
    path("me", views.Me.as_view()),
]
