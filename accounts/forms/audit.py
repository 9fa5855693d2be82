"""The filter of the audit page: what the API filters by, so that an export holds what the page shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.http import QueryDict

from accounts.forms.base import FilterForm
from accounts.models import User
from accounts.models.user import plain_email


def _moment(label: str) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, required=False, widget=widget)


class AuditFilterForm(FilterForm):
    """`?who=&action=&object_type=&object_id=&after=&before=&older=`; times are UTC, `older` is where a page begins."""

    search = None  # type: ignore[assignment]  # Django's way to take a field back
    page = None  # type: ignore[assignment]
    who = forms.EmailField(required=False, max_length=254, label="Who")
    action = forms.CharField(required=False, max_length=64, label="Action")
    object_type = forms.CharField(required=False, max_length=32, label="Sort of thing")
    object_id = forms.CharField(required=False, max_length=64, label="Thing")
    after = _moment("From")
    before = _moment("Until")
    older = forms.IntegerField(required=False, min_value=1, max_value=2**62)

    actor: User | None = None

    def clean_who(self) -> str:
        """Return the e-mail, and know whose it is. Raises ValidationError for nobody's."""
        email = plain_email(self.cleaned_data["who"])
        self.actor = User.objects.filter(email=email).first() if email else None
        if email and self.actor is None:
            raise forms.ValidationError("Nobody has this e-mail.")
        return email

    @property
    def is_narrowed(self) -> bool:
        """Tell whether the list shows less than everything."""
        return bool(self.chosen.keys() - {"older"})

    @property
    def asked(self) -> dict[str, Any]:
        """Return what was understood, by the API's names: values for a queryset's `filter` are made of it."""
        chosen = {name: value for name, value in self.chosen.items() if name not in ("who", "older")}
        return chosen | ({"actor": self.actor} if self.actor else {})

    @property
    def for_api(self) -> str:
        """Return the query string by which the API filters in the same way."""
        query = QueryDict(mutable=True)
        for name, value in self.asked.items():
            is_moment = isinstance(value, datetime)
            query[name] = str(value.uid) if name == "actor" else _iso(value) if is_moment else str(value)
        return query.urlencode()


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
