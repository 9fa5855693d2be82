"""Account pages. Names are without a namespace because settings and templates name `login` everywhere."""

from __future__ import annotations

from django.urls import path

from accounts.views import sign_in

urlpatterns = [
    path("login/", sign_in.SignIn.as_view(), name="login"),
    path("logout/", sign_in.SignOut.as_view(), name="logout"),
]
