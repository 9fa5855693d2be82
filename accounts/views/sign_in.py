"""Signing in and out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import services
from accounts.authentication import session_of, wait_seconds
from accounts.forms import SignInForm
from accounts.models import User
from accounts.throttles import count_login
from accounts.views import limits


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the try before the password is looked at; too many are refused with the time to wait."""
        usage = count_login(request, request.POST.get("username", ""))
        if usage is not None and usage.is_over:
            return self._wait(request, usage.seconds)
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Know whether to offer the way to an account."""
        return super().get_context_data(registration=settings.REGISTRATION, **kwargs)

    def _wait(self, request: HttpRequest, seconds: int) -> HttpResponse:
        context = self.get_context_data(form=self.authentication_form(request), refusal=limits.refusal(seconds))
        response = render(request, self.template_name, context, status=429)
        response["Retry-After"] = str(seconds)
        return response

    def form_invalid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        """Record the wrong password; say so, or how long to wait."""
        email = form.data.get("username", "")
        is_locked = bool(getattr(self.request, "axes_locked_out", False))
        services.note_failed(email=email, is_locked=is_locked)
        return self._wait(self.request, wait_seconds()) if is_locked else super().form_invalid(form)

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        """Sign in; unless asked to stay, the cookie ends with the browser."""
        response = super().form_valid(form)
        begin_session(self.request, form.get_user(), stay=form.cleaned_data["stay"])
        return response


def begin_session(request: HttpRequest, user: Any, *, stay: bool) -> None:
    """Make the row of the sign-in that `login()` has just begun."""
    if not isinstance(user, User):
        return
    if not stay:
        request.session.set_expiry(0)
    lifetime = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    row = services.sign_in_page(user=user, cookie_key=request.session.session_key or "", lifetime=lifetime)
    request.session["sid"] = str(row.uid)


class SignOut(LogoutView):
    """Sign out (POST)."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the sign-in, then the cookie."""
        if isinstance(request.user, User):
            services.sign_out(by=request.user, session=session_of(request))
        return super().post(request, *args, **kwargs)
