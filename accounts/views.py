"""Account pages."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse

from accounts import audit
from accounts.forms import SignInForm
from accounts.models import User


class SignIn(LoginView):
    """The sign-in page."""

    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

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
