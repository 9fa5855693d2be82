"""Account pages."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import audit
from accounts.forms import SignInForm
from accounts.models import User
from accounts.throttles import count_login


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count the try before the password is looked at; too many are refused with the time to wait."""
        usage = count_login(request, request.POST.get("username", ""))
        if usage is not None and usage.is_over:
            refusal = f"Too many tries from here. Try again in {usage.seconds} seconds."
            context = {"form": self.authentication_form(request), "refusal": refusal, "next": self.get_redirect_url()}
            response = render(request, self.template_name, context, status=429)
            response["Retry-After"] = str(usage.seconds)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        """Sign in and record it; unless asked to stay, the session ends with the browser."""
        response = super().form_valid(form)
        if not form.cleaned_data["stay"]:
            self.request.session.set_expiry(0)
        user = form.get_user()
        if isinstance(user, User):
            audit.log(user, "auth.login", user)
        return response


class SignOut(LogoutView):
    """Sign out (POST)."""
