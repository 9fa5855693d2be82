"""Forms of the account pages."""

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


class FilterForm(forms.Form):
    """The query of a list page. What is not understood is said beside the list, never guessed."""

    search = forms.CharField(required=False, max_length=200, label="Search")
    page = forms.IntegerField(required=False, min_value=1, max_value=10**6)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "c-input")
        # Kept valid or not: a list page is always shown.
        self.is_valid()

    @property
    def chosen(self) -> dict[str, Any]:
        """Return what was understood of the query, by name."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [], False)}

    @property
    def is_narrowed(self) -> bool:
        """Tell whether the list shows less than everything."""
        return bool(self.chosen.keys() - {"page"})

    @property
    def refusals(self) -> list[str]:
        """Return a sentence for each parameter that was not understood."""
        return [f"{name}: {' '.join(map(str, errors))}" for name, errors in self.errors.items()]
