"""Forms of the account pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """Sign in with e-mail and password."""

    username = forms.EmailField(
        label="E-mail", widget=forms.EmailInput(attrs={"autofocus": True, "autocomplete": "email"})
    )
    error_messages: dict[str, Any] = {  # type: ignore[misc]
        "invalid_login": "E-mail or password is wrong. Check both; capital letters matter in the password.",
        "inactive": "This account is switched off. Ask an Admin of your panel.",
    }

    def clean_username(self) -> str:
        """Return the e-mail as it is stored."""
        return str(self.cleaned_data["username"]).lower()
