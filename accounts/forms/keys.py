"""Forms of API keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

from django import forms

from accounts.forms.base import FilterForm, LineField, PanelForm
from mcp_site.core import clock

MAX_NETWORKS = 50
# How long a key is meant to last unless somebody says otherwise.
USUAL_DAYS = 90
OVERLAPS = {"0": "at once", "3600": "after an hour", "86400": "after a day", "604800": "after a week"}
_VERBS = ("read", "write", "query")


@dataclass(frozen=True, slots=True)
class ScopeBox:
    """One checkbox: its scope, the word beside it, and whether it is ticked."""

    scope: str
    verb: str
    is_ticked: bool


class KeyFilterForm(FilterForm):
    """`?search=&ended=&everyone=`."""

    ended = forms.BooleanField(required=False)
    everyone = forms.BooleanField(required=False)

    @property
    def is_narrowed(self) -> bool:
        """Tell whether the list shows less than everything of the person's; the two switches show more."""
        return "search" in self.chosen


class KeyForm(PanelForm):
    """A key to make."""

    named: ClassVar[dict[str, str]] = {"expires_at": "expires_on", "allowed_networks": "networks"}

    name = LineField(label="Name", max_length=50, help_text="What uses it, such as “weekly report”.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one: a key without a scope can do nothing."},
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="It ends with this day (UTC). Empty: it never ends by itself.",
    )
    networks = forms.CharField(
        label="Only from these networks",
        required=False,
        max_length=50 * MAX_NETWORKS,
        widget=forms.Textarea(attrs={"rows": 2, "class": "c-input u-mono", "spellcheck": "false"}),
        help_text="One a line, such as 10.0.0.0/8 or 203.0.113.7/32. Empty: from anywhere.",
    )

    def __init__(self, *args: Any, allowed: Collection[str], **kwargs: Any) -> None:
        """Make the fields; `allowed` are the scopes that the person may give."""
        last = (clock.now() + timedelta(days=USUAL_DAYS)).date()
        super().__init__(*args, initial={"expires_on": last}, **kwargs)
        self.allowed = frozenset(allowed)
        self.fields["scopes"].choices = [(scope, scope) for scope in sorted(allowed)]  # type: ignore[attr-defined]

    def clean_networks(self) -> list[str]:
        """Return the networks, one for each line that says something."""
        found = [line.strip() for line in self.cleaned_data["networks"].splitlines() if line.strip()]
        if len(found) > MAX_NETWORKS:
            raise forms.ValidationError(f"At most {MAX_NETWORKS} networks.")
        return found

    @property
    def rows(self) -> Iterator[tuple[str, list[ScopeBox]]]:
        """Return the checkboxes by area, read before write."""
        ticked = set(self["scopes"].value() or ())
        by_area: dict[str, dict[str, ScopeBox]] = {}
        for scope in sorted(self.allowed):
            area, _, verb = scope.partition(":")
            by_area.setdefault(area, {})[verb] = ScopeBox(scope, verb, scope in ticked)
        for area, boxes in by_area.items():
            yield area, [boxes[verb] for verb in _VERBS if verb in boxes]

    @property
    def given(self) -> dict[str, Any]:
        """Return what the service is given, of a valid form."""
        day = self.cleaned_data["expires_on"]
        return {
            "name": self.cleaned_data["name"],
            "scopes": self.cleaned_data["scopes"],
            "expires_at": datetime.combine(day, time(23, 59, 59), UTC) if day else None,
            "allowed_networks": self.cleaned_data["networks"],
        }


class RotateForm(PanelForm):
    """When the old key ends."""

    overlap = forms.TypedChoiceField(label="The old key ends", choices=list(OVERLAPS.items()), coerce=int)
