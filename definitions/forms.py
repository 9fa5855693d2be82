"""Forms of the definition pages, and JSON Schemas in words for whoever makes forms of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django import forms

from accounts.forms import FilterForm
from definitions import kinds

# More properties than a person fills in; the API takes them all.
MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One property of an object's JSON Schema as people read it."""

    name: str
    type: str
    required: bool
    help: str
    default: str
    rule: dict[str, Any]


def _range(rule: dict[str, Any]) -> str:
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def type_in_words(rule: dict[str, Any]) -> str:
    """Return a schema's type as a short text: `integer, 1 to 20`, `one of a, b`."""
    if isinstance(rule.get("enum"), list):
        return "one of " + ", ".join(str(item) for item in rule["enum"][:6]) + ("…" if len(rule["enum"]) > 6 else "")
    named = rule.get("type")
    text = " or ".join(str(one) for one in named) if isinstance(named, list) else str(named or "any")
    if text == "array" and isinstance(rule.get("items"), dict):
        text = f"array of {type_in_words(rule['items'])}"
    return ", ".join(part for part in (text, str(rule.get("format") or ""), _range(rule)) if part)


def fields_of_schema(schema: Any) -> list[SchemaField]:
    """Return the properties of an object's schema in their order; none where there are too many to fill in."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(properties) > MAX_FIELDS:
        return []
    required = schema.get("required")
    wanted = set(required) if isinstance(required, list) else set()
    return [
        SchemaField(
            name=name,
            type=type_in_words(rule),
            required=name in wanted,
            help=str(rule.get("description") or ""),
            default=json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else "",
            rule=rule,
        )
        for name, rule in ((name, rule if isinstance(rule, dict) else {}) for name, rule in properties.items())
    ]


class DefinitionFilterForm(FilterForm):
    """`?search=&kind=&tag=&archived=`."""

    kind = forms.ChoiceField(
        required=False, choices=lambda: [("", "Any kind"), *((kind.name, kind.label) for kind in kinds.all_kinds())]
    )
    tag = forms.CharField(required=False, max_length=50)
    archived = forms.BooleanField(required=False)
