"""Forms of the pages of definitions, and what a form needs to know of a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from accounts.forms import FilterForm
from definitions import kinds

# A schema with more names than this is given as JSON.
MAX_FIELDS = 60


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One property of an object's schema: its name, its rule, and both in words."""

    name: str
    rule: Mapping[str, Any]
    type: str
    required: bool
    help: str
    default: str


def _in_words(rule: Mapping[str, Any]) -> str:
    named = rule.get("type")
    types = [str(one) for one in (named if isinstance(named, list) else [named]) if one]
    words = ["one of " + ", ".join(map(str, rule["enum"][:6]))] if isinstance(rule.get("enum"), list) else types
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low} to {high}")
    elif low is not None or high is not None:
        words.append(f"at least {low}" if low is not None else f"at most {high}")
    return ", ".join(words) or "anything"


def fields_of_schema(schema: Any) -> list[SchemaField]:
    """Return the properties of an object's schema in their order; nothing where it names none or too many."""
    named = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(named, Mapping) or len(named) > MAX_FIELDS:
        return []
    listed = schema.get("required")
    required = listed if isinstance(listed, list) else []
    found = []
    for name, value in named.items():
        rule = value if isinstance(value, Mapping) else {}
        default = json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else ""
        text = str(rule.get("description") or rule.get("title") or "")
        found.append(SchemaField(str(name), rule, _in_words(rule), name in required, text, default))
    return found


class DefinitionFilterForm(FilterForm):
    """`?search=&kind=&tag=&archived=`."""

    kind = forms.ChoiceField(required=False)
    tag = forms.CharField(required=False, max_length=50)
    archived = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Read now and not at import: kinds are loaded when they are first asked for.
        choices = [("", "Any kind"), *((kind.name, kind.label) for kind in kinds.all_kinds())]
        self.base_fields["kind"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField
        super().__init__(*args, **kwargs)
