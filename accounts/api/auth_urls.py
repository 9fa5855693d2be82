"""Routes of signing in; mounted at /auth and /api/v1/auth."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from accounts.api import registration, sign_in

router = SimpleRouter(trailing_slash=False)
router.register("sessions", sign_in.Sessions, basename="sessions-api")

urlpatterns: list[URLPattern | URLResolver] = [
    path("register", registration.Register.as_view()),
    path("login", sign_in.Login.as_view()),
    path("refresh", sign_in.Refresh.as_view()),
    path("logout", sign_in.Logout.as_view()),
    path("password", registration.Password.as_view()),
    path("password/forgot", registration.Forgot.as_view()),
    path("password/reset", registration.Reset.as_view()),
    path("ws-ticket", sign_in.WsTicket.as_view()),
    path("me", sign_in.Me.as_view()),
    *router.urls,
]
