"""Signing in, registering, and passwords that were forgotten."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from accounts.models.user import plain_email


class SignInForm(AuthenticationForm):
    """Sign in with e-mail and password."""

    username = forms.EmailField(
        label="E-mail",
        widget=forms.EmailInput(attrs={"class": "c-input", "autofocus": True, "autocomplete": "username"}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"class": "c-input", "autocomplete": "current-password"}),
    )
    stay = forms.BooleanField(label="Keep me signed in for 14 days", required=False)
    error_messages: dict[str, Any] = {
        "invalid_login": "E-mail or password is wrong. Check both; capital letters matter in the password.",
        "inactive": "This account is switched off. Ask an Admin of your panel.",
    }

    def clean_username(self) -> str:
        """Return the e-mail as it is stored."""
        return plain_email(self.cleaned_data["username"])
