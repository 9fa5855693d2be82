"""Forms of one's own account."""

from __future__ import annotations

from django import forms

from accounts.forms.base import LineField, PanelForm, PasswordField


class NameForm(PanelForm):
    """How others see the person."""

    full_name = LineField(
        label="Name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text="Others see it in lists and in the audit trail; without one they see your e-mail.",
    )


class EmailForm(PanelForm):
    """The e-mail that the person signs in with."""

    email = forms.EmailField(
        label="New e-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    current_password = PasswordField(label="Your password", autocomplete="current-password")


class PasswordForm(PanelForm):
    """Another password."""

    current_password = PasswordField(label="Present password", autocomplete="current-password")
    new_password = PasswordField(
        label="New password",
        autocomplete="new-password",
        help_text="At least 12 characters, not one that everybody uses, nor like your name or e-mail.",
    )
