"""Forms of the account pages, and what forms of all apps share."""

from __future__ import annotations

from accounts.forms.account import EmailForm, NameForm, PasswordForm
from accounts.forms.base import FilterForm, PanelForm
from accounts.forms.sign_in import SignInForm

__all__ = [
    "EmailForm",
    "FilterForm",
    "NameForm",
    "PanelForm",
    "PasswordForm",
    "SignInForm",
]
