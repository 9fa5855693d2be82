"""Forms of the workflow and run pages; the run form is made from the JSON Schema of the inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms

from accounts.forms import FilterForm
from definitions.forms import SchemaField, fields_of_schema
from mcp_site.core.documents import load_json
from mcp_site.core.errors import Rejected
from workflows.models import TriggerKind
from workflows.states import RunState

# Named by position: a property may be called anything, also `csrfmiddlewaretoken`.
PREFIX = "inputs"
_TEXT = {"class": "c-input"}


class WorkflowFilterForm(FilterForm):
    """`?search=&tag=&archived=`."""

    tag = forms.CharField(required=False, max_length=50)
    archived = forms.BooleanField(required=False)


class RunFilterForm(FilterForm):
    """`?state=&workflow=&definition=&trigger=&mine=&before=`."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", "Any state"), ("open", "Going now"), ("bad", "Ended badly"), *RunState.choices],
    )
    workflow = forms.SlugField(required=False, max_length=63)
    definition = forms.SlugField(required=False, max_length=63)
    trigger = forms.ChoiceField(required=False, choices=[("", "Any start"), *TriggerKind.choices])
    mine = forms.BooleanField(required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**62)

    @property
    def is_narrowed(self) -> bool:
        """Tell whether the list shows less than everything."""
        return bool(self.chosen.keys() - {"page", "before"})


class JsonField(forms.CharField):
    """JSON as text."""

    widget = forms.Textarea(attrs={"class": "c-input u-mono", "rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Show a value that is not text yet as JSON."""
        return value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)

    def clean(self, value: Any) -> Any:
        """Return the JSON value, None for an empty field."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return load_json(text.encode())
        except Rejected as exc:
            raise forms.ValidationError(exc.detail) from exc


class FlagField(forms.TypedChoiceField):
    """True, false, or left out."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("", "not given"), ("true", "true"), ("false", "false")]
        super().__init__(choices=choices, coerce=lambda text: text == "true", empty_value=None, **kwargs)


class ChosenField(forms.TypedChoiceField):
    """One of a schema's `enum`, whatever the types of its values."""

    def __init__(self, values: list[Any], **kwargs: Any) -> None:
        texts = [(str(place), str(value)) for place, value in enumerate(values)]
        if not kwargs["required"] or kwargs.get("initial") not in values:
            texts.insert(0, ("", "choose"))
        if kwargs.get("initial") in values:
            kwargs["initial"] = str(values.index(kwargs["initial"]))
        super().__init__(choices=texts, coerce=lambda text: values[int(text)], empty_value=None, **kwargs)


def _plain_type(rule: Mapping[str, Any]) -> str:
    """Return the one type besides null that a rule names, or nothing."""
    named = rule.get("type")
    types = [one for one in (named if isinstance(named, list) else [named]) if one != "null"]
    return str(types[0]) if len(types) == 1 and types[0] else ""


def _text_widget(rule: Mapping[str, Any], initial: Any) -> forms.Widget:
    """Return one line for what is sure to be short, else several."""
    is_short = rule.get("format") or rule.get("pattern") or rule.get("maxLength", 10**6) <= 200
    if is_short or (isinstance(initial, str) and 0 < len(initial) <= 60 and "\n" not in initial):
        return forms.TextInput(_TEXT)
    return forms.Textarea({**_TEXT, "rows": 2})


def _field(prop: SchemaField, initial: Any) -> forms.Field:
    """Return the form field for one property."""
    rule = prop.rule
    shared: dict[str, Any] = {
        "label": prop.name,
        "required": prop.required and "default" not in rule,
        "help_text": prop.help,
        "initial": initial,
    }
    if isinstance(rule.get("enum"), list):
        return ChosenField(rule["enum"], widget=forms.Select(attrs=_TEXT), **shared)
    numbers: dict[str, Any] = {
        "min_value": rule.get("minimum"),
        "max_value": rule.get("maximum"),
        "widget": forms.NumberInput(_TEXT),
    }
    match _plain_type(rule):
        case "string":
            # What the schema asks of the text, the service says.
            shared["required"] = shared["required"] and bool(rule.get("minLength"))
            return forms.CharField(strip=False, widget=_text_widget(rule, initial), **shared)
        case "integer":
            return forms.IntegerField(**shared, **numbers)
        case "number":
            numbers["widget"] = forms.NumberInput({**_TEXT, "step": "any"})
            return forms.FloatField(**shared, **numbers)
        case "boolean":
            shared["initial"] = {True: "true", False: "false"}.get(initial) if isinstance(initial, bool) else None
            return FlagField(widget=forms.Select(attrs=_TEXT), **shared)
        case _:
            return JsonField(**shared)


class RunForm(forms.Form):
    """The inputs of a run: a plain field for each plain property, JSON for the others and for what has no schema."""

    def __init__(
        self, schema: Any, *args: Any, given: Mapping[str, Any] | None = None, free: bool = True, **kwargs: Any
    ) -> None:
        """Make the fields. `given` are inputs to begin with; `free`: ask for JSON where there is no schema."""
        super().__init__(*args, **kwargs)
        given = given or {}
        # What must be given first; PostgreSQL does not keep the order in which a schema names its properties.
        self.props = sorted(fields_of_schema(schema), key=lambda prop: not prop.required)
        self.whole = not self.props and (schema is not None or free)
        for place, prop in enumerate(self.props):
            self.fields[f"{PREFIX}-{place}"] = _field(prop, given.get(prop.name, prop.rule.get("default")))
        if self.whole:
            self.fields[PREFIX] = JsonField(
                label="inputs", required=False, initial=dict(given) or "{}", help_text="A JSON object."
            )

    @property
    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """Return each field with its type in words."""
        if self.whole:
            return [(self[PREFIX], "object")]
        named = [f"{prop.type}, required" if prop.required else prop.type for prop in self.props]
        return [(self[f"{PREFIX}-{place}"], text) for place, text in enumerate(named)]

    @property
    def inputs(self) -> Any:
        """Return the inputs of a valid form; what was left empty is left out, so that defaults apply."""
        if self.whole:
            value = self.cleaned_data[PREFIX]
            return {} if value is None else value
        values = ((prop, self.cleaned_data[f"{PREFIX}-{place}"]) for place, prop in enumerate(self.props))
        return {prop.name: value for prop, value in values if not _is_left_out(prop, value)}

    def clean(self) -> dict[str, Any]:
        """Refuse inputs that are no object."""
        if self.whole and not isinstance(self.cleaned_data.get(PREFIX) or {}, dict):
            self.add_error(PREFIX, "must be a JSON object")
        return self.cleaned_data

    def take(self, exc: Rejected) -> None:
        """Show each problem of a refused start beside its field; what belongs to no field, above the form."""
        places = {prop.name: f"{PREFIX}-{place}" for place, prop in enumerate(self.props)}
        for problem in exc.problems:
            path = problem.path.removeprefix("inputs").removeprefix(".")
            name = path if path in places else path.partition(".")[0]
            inside = path[len(name) :].removeprefix(".")
            text = f"{inside}: {problem.detail}" if inside else problem.detail
            if name in places:
                self.add_error(places[name], text)
            else:
                self.add_error(None, f"{problem.path}: {problem.detail}" if problem.path else problem.detail)


def _is_left_out(prop: SchemaField, value: Any) -> bool:
    if value is None:
        return True
    # An empty text is a text only where one is asked for and there is nothing to fall back on.
    return value == "" and (not prop.required or "default" in prop.rule)
