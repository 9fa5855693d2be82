"""Forms for people without an account or without their password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from accounts.forms.base import LineField, PanelForm, PasswordField
from accounts.models import Role

_RULES = "At least 12 characters, not one that everybody uses, nor like your name or e-mail."
_MEANS = {
    Role.VIEWER: "Viewer: look at what others made",
    Role.EDITOR: "Editor: make, change and run things too",
}


def _token(label: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"class": "c-input u-mono", "autocomplete": "off", "spellcheck": "false"})
    text = "What stands behind the # of the letter's link."
    return forms.CharField(label=label, max_length=1000, widget=widget, help_text=text)


def _email(help_text: str = "") -> forms.EmailField:
    widget = forms.EmailInput(attrs={"autocomplete": "username"})
    return forms.EmailField(label="E-mail", max_length=254, widget=widget, help_text=help_text)


class RegisterForm(PanelForm):
    """A new account. Where only invited people come in, the invitation is asked for and says the role."""

    invite_token = _token("Invitation")
    email = _email()
    full_name = LineField(
        label="Name", max_length=150, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = PasswordField(label="Password", autocomplete="new-password", help_text=_RULES)
    role_name = forms.ChoiceField(label="What you want to do", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.REGISTRATION == "open":
            self.fields["invite_token"].required = False
            self.fields["role_name"].choices = list(_MEANS.items())  # type: ignore[attr-defined]
            self.fields["role_name"].help_text = _said_of_roles()
        else:
            del self.fields["role_name"]
            self.fields["email"].help_text = "The one that the invitation was sent to."

    @property
    def given(self) -> dict[str, Any]:
        """Return what the service is given, of a valid form."""
        role = self.cleaned_data.get("role_name") or Role.VIEWER
        return {**self.cleaned_data, "role_name": role}


def _said_of_roles() -> str:
    given = {Role.VIEWER, *settings.SELF_REGISTRATION_ROLES}
    if given >= _MEANS.keys():
        return "You get it at once. With an invitation, its role counts."
    return "You begin as Viewer; an Admin decides on more. With an invitation, its role counts."


class ForgotForm(PanelForm):
    """Whose password was forgotten."""

    email = _email()


class ResetForm(PanelForm):
    """A new password by a letter."""

    token = _token("Token")
    password = PasswordField(label="New password", autocomplete="new-password", help_text=_RULES)
