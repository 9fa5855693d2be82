"""Forms of the pages of connections."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms import FilterForm
from connections import connectors

MAX_SHOWN_ROWS = 1000


class ConnectionFilterForm(FilterForm):
    """`?search=&type=&archived=`."""

    type = forms.ChoiceField(required=False)
    archived = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        choices = [("", "Any type"), *((name, name) for name in connectors.CONNECTORS)]
        self.base_fields["type"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField
        super().__init__(*args, **kwargs)


class SchemaForm(forms.Form):
    """`?search=&table=`: what is looked for in a schema."""

    search = forms.CharField(required=False, max_length=200)
    table = forms.CharField(required=False, max_length=300)


class QueryForm(forms.Form):
    """One read-only statement, and how many of its rows are shown."""

    sql = forms.CharField(
        max_length=100_000,
        strip=False,
        label="SQL",
        widget=forms.Textarea(attrs={"class": "c-input u-mono", "rows": 5, "spellcheck": "false"}),
    )
    limit = forms.IntegerField(
        min_value=1,
        max_value=MAX_SHOWN_ROWS,
        initial=100,
        widget=forms.NumberInput(attrs={"class": "c-input p-short"}),
    )
