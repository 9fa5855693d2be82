"""Pages for people without an account or without their password: anybody sees them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from accounts import services
from accounts.forms import PanelForm
from accounts.forms.registration import ForgotForm, RegisterForm, ResetForm
from accounts.mixins import base_url
from accounts.models import User
from accounts.throttles import address_of, count
from accounts.views import limits
from accounts.views.sign_in import begin_session
from mcp_site.core.errors import AppError

_BACKEND = "django.contrib.auth.backends.ModelBackend"


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class _Door(View):
    """A form for strangers. Each use is counted by address before any work is done."""

    form_class: ClassVar[type[PanelForm]]
    template: ClassVar[str]

    def show(self, form: PanelForm, status: int = 200) -> HttpResponse:
        """Render the page."""
        context = {
            "form": form,
            "registration": settings.REGISTRATION,
            "token_type": "if you have one" if settings.REGISTRATION == "open" else "",
            "mail_is_printed": settings.EMAIL_BACKEND.endswith(".console.EmailBackend"),
        }
        return render(self.request, self.template, context, status=status)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show(self.form_class())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Do it, or say beside the fields what is wrong."""
        form = self.form_class(request.POST)
        usage = count(request, "register", address_of(request))
        is_valid = form.is_valid()
        if limits.is_over(usage, form):
            return limits.with_wait(self.show(form, 429), usage)
        if not is_valid:
            return self.show(form, 400)
        try:
            return self.done(form)
        except AppError as exc:
            form.take(exc)
            return self.show(form, exc.status)

    def done(self, form: Any) -> HttpResponse:
        """Do what a valid form asks for. Raises what the service refuses."""
        raise NotImplementedError


class Register(_Door):
    """A new account, or an invitation accepted."""

    form_class = RegisterForm
    template = "accounts/register.html"

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the account; whoever is signed in has one, and is told so."""
        return redirect("register") if request.user.is_authenticated else super().post(request)

    def done(self, form: RegisterForm) -> HttpResponse:
        """Make the account and sign its owner in."""
        user = services.register(**form.given)
        login(self.request, user, backend=_BACKEND)
        begin_session(self.request, user, stay=False)
        messages.success(self.request, _welcome(user))
        return redirect("dashboard")


def _welcome(user: User) -> str:
    said = f"Welcome, {user}. You are {user.role}."
    return f"{said} An Admin decides on {user.requested_role}." if user.requested_role else said


class Forgot(_Door):
    """A letter for those who can't sign in."""

    form_class = ForgotForm
    template = "accounts/password_forgot.html"

    def done(self, form: ForgotForm) -> HttpResponse:
        """Send it; the answer is the same whether the e-mail is known or not."""
        services.ask_reset(email=form.cleaned_data["email"], base_url=base_url(self.request))
        said = "If somebody here has this e-mail, a letter is on its way to them. Its link works for an hour."
        messages.success(self.request, said)
        return redirect("login")


class Reset(_Door):
    """A new password by the token of a letter."""

    form_class = ResetForm
    template = "accounts/password_reset.html"

    def done(self, form: ResetForm) -> HttpResponse:
        """Set it."""
        services.reset_password(**form.cleaned_data)
        messages.success(self.request, "Your new password is set. Sign in with it; every other sign-in has ended.")
        return redirect("login")
