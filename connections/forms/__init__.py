"""Forms of the connection pages."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms import FilterForm
from connections import connectors


class ConnectionFilterForm(FilterForm):
    """`?search=&type=&archived=`."""

    type = forms.ChoiceField(
        required=False,
        choices=lambda: [("", "Any type"), *((one.name, one.label) for one in connectors.all_connectors())],
    )
    archived = forms.BooleanField(required=False)


class SchemaForm(forms.Form):
    """`?search=&table=`: what to show of a schema."""

    search = forms.CharField(required=False, max_length=200)
    table = forms.CharField(required=False, max_length=500)


class CompareForm(forms.Form):
    """`?from=&to=`: numbers of snapshots; what is no number counts as not given."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        for name in ("from", "to"):
            self.fields[name] = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
        self.is_valid()

    @property
    def numbers(self) -> tuple[int | None, int | None]:
        """Return the two numbers, None where there is none."""
        return self.cleaned_data.get("from"), self.cleaned_data.get("to")


class QueryForm(forms.Form):
    """One statement that reads."""

    sql = forms.CharField(
        label="SQL",
        max_length=100_000,
        widget=forms.Textarea(attrs={"class": "c-input u-mono", "rows": 4, "spellcheck": "false"}),
    )
    limit = forms.IntegerField(
        label="Rows at most",
        min_value=1,
        max_value=1000,
        initial=100,
        widget=forms.NumberInput(attrs={"class": "c-input"}),
    )
