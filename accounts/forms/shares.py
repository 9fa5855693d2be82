"""The form of the share dialog."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib.auth.models import Group
from django.db.models import Q

from accounts.forms.base import PanelForm
from accounts.models import Permission, Role, User

# More people than these are found by searching.
MAX_PEOPLE = 200
WORDS = {Permission.VIEW: "may look", Permission.RUN: "may run or use", Permission.EDIT: "may edit and share"}


class ReachForm(PanelForm):
    """How far a share reaches."""

    permission = forms.ChoiceField(label="What they may do", choices=list(WORDS.items()))


class ShareForm(ReachForm):
    """With whom, and how far. People are chosen by name: their e-mails are for Admins."""

    named: ClassVar[dict[str, str]] = {"user": "receiver", "team": "receiver"}

    receiver = forms.ChoiceField(label="With", error_messages={"required": "Choose a person or a team."})

    def __init__(self, *args: Any, search: str = "", **kwargs: Any) -> None:
        """Make the fields; `search` narrows whom one can choose."""
        super().__init__(*args, **kwargs)
        self.order_fields(["receiver", "permission"])
        people, teams = User.objects.present(), Group.objects.exclude(name__in=Role.values)
        if search:
            people = people.filter(Q(full_name__icontains=search) | Q(email__icontains=search))
            teams = teams.filter(name__icontains=search)
        found = list(people.order_by("full_name", "email")[: MAX_PEOPLE + 1])
        self.has_more = len(found) > MAX_PEOPLE
        shown = [(f"user:{user.uid}", user.full_name or "somebody without a name") for user in found[:MAX_PEOPLE]]
        groups = [(f"team:{team.pk}", team.name) for team in teams.order_by("name")[:MAX_PEOPLE]]
        choices = [("", "choose"), ("Teams", groups), ("People", shown)]
        self.fields["receiver"].choices = choices  # type: ignore[attr-defined]

    @property
    def given(self) -> dict[str, Any]:
        """Return what the service is given, of a valid form: its choices exist."""
        sort, _, key = self.cleaned_data["receiver"].partition(":")
        permission = Permission(self.cleaned_data["permission"])
        if sort == "team":
            return {"team": Group.objects.get(pk=int(key)), "permission": permission}
        return {"user": User.objects.get(uid=UUID(key)), "permission": permission}
