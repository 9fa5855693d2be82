"""Forms of the pages of people and teams."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms.base import FilterForm, LineField, PanelForm
from accounts.models import Role

STATES = {"active": "Active", "pending": "Invited", "off": "Switched off"}


class PeopleFilterForm(FilterForm):
    """`?search=&role=&state=`."""

    role = forms.ChoiceField(required=False, choices=[("", "Any role"), *Role.choices])
    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *STATES.items()])


class InviteForm(PanelForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True})
    )
    full_name = LineField(
        label="Name", max_length=150, required=False, help_text="They can change it when they come in."
    )
    role_name = forms.ChoiceField(label="Role", choices=Role.choices)


class PersonForm(PanelForm):
    """What an Admin changes of somebody: one thing at a time."""

    role_name = forms.ChoiceField(required=False, choices=Role.choices)
    is_active = forms.TypedChoiceField(
        required=False,
        choices=[("true", "on"), ("false", "off")],
        coerce=lambda text: text == "true",
        empty_value=None,
    )

    @property
    def given(self) -> dict[str, Any]:
        """Return what was given, of a valid form."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}


class TeamForm(PanelForm):
    """A team's name."""

    name = LineField(label="Name", max_length=150)


class MemberForm(PanelForm):
    """Who joins a team."""

    email = forms.EmailField(label="E-mail", max_length=254)
