"""Forms of the monitoring pages. What a rule may say is asked of the service; here text becomes values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django import forms

from accounts.forms import FilterForm, PanelForm
from mcp_site.core import clock
from monitoring import spans
from monitoring.models import AlertRule, Channel, FaultSource
from monitoring.sketch import AGGREGATES
from monitoring.states import AlertState, Comparison, NoData, Severity

RANGES = {
    "1h": "Last hour",
    "6h": "Last 6 hours",
    "1d": "Last day",
    "7d": "Last week",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
}
_AGGREGATES = [(name, name) for name in AGGREGATES]


class AlertFilterForm(FilterForm):
    """`?state=&severity=&search=`. Without a state what is not over."""

    state = forms.ChoiceField(
        required=False, choices=[("", "Not resolved"), *AlertState.choices, ("all", "All")], label="State"
    )
    severity = forms.ChoiceField(required=False, choices=[("", "Any severity"), *Severity.choices], label="Severity")


class FaultFilterForm(FilterForm):
    """`?source=&search=`."""

    source = forms.ChoiceField(
        required=False, choices=[("", "Anywhere"), *FaultSource.choices], label="Where it happened"
    )


class ExplorerForm(FilterForm):
    """`?name=&aggregate=&range=&bucket=&tags=`."""

    name = forms.CharField(required=False, max_length=200, label="Series")
    aggregate = forms.ChoiceField(required=False, choices=_AGGREGATES, label="Aggregate")
    range = forms.ChoiceField(required=False, choices=list(RANGES.items()), label="Time")
    bucket = forms.CharField(required=False, max_length=12, label="Bucket")
    tags = forms.CharField(required=False, max_length=1000, label="Tags")

    def clean_tags(self) -> dict[str, str]:
        """Return the tags that are asked for."""
        return tags_of(self.cleaned_data["tags"])

    def clean_bucket(self) -> str:
        """Return the bucket as it is written, if it is one."""
        text: str = self.cleaned_data["bucket"].strip()
        if text:
            _seconds(text)
        return text

    def span(self) -> tuple[datetime, datetime]:
        """Return from when to when."""
        end = clock.now().astimezone(UTC) + timedelta(seconds=1)
        return end - timedelta(seconds=spans.seconds_of(self.chosen.get("range", "1d"))), end


class SpanField(forms.CharField):
    """`5m`; inside, seconds. None where it may be empty and is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=12, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Show seconds as text."""
        return spans.text_of(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        """Return the seconds. Raises ValidationError."""
        text = super().clean(value).strip()
        return _seconds(text) if text else None


class TagsField(forms.CharField):
    """`model=penguins, zone=eu`."""

    def prepare_value(self, value: Any) -> Any:
        """Show tags as text."""
        return ", ".join(f"{k}={v}" for k, v in sorted(value.items())) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        """Return the tags. Raises ValidationError."""
        return tags_of(super().clean(value))


class RuleForm(PanelForm):
    """A rule as people write it."""

    named: ClassVar[dict[str, str]] = {"for": "hold"}

    name = forms.CharField(max_length=200, label="Name")
    metric = forms.CharField(max_length=200, label="Series")
    tags = TagsField(
        required=False, max_length=1000, label="Tags", help_text="Only series with these, as model=penguins, zone=eu."
    )
    aggregate = forms.ChoiceField(choices=_AGGREGATES, label="Aggregate")
    window = SpanField(label="Over the last", help_text="1m to 7d", initial=300)
    comparison = forms.ChoiceField(choices=[(c.value, f"is {c.label}") for c in Comparison], label="Comparison")
    threshold = forms.FloatField(label="Threshold")
    hold = SpanField(required=False, label="For", help_text="How long it has to be so without a break.", initial=0)
    warn_threshold = forms.FloatField(required=False, label="Warn at", help_text="Met before the threshold.")
    recover_threshold = forms.FloatField(
        required=False, label="Well again at", help_text="Without one, at the threshold."
    )
    no_data = forms.ChoiceField(choices=NoData, label="Without samples", initial=NoData.KEEP)
    renotify = SpanField(required=False, label="Say it again after", help_text="Until somebody acknowledges it.")
    channels = forms.MultipleChoiceField(required=False, label="Channels", widget=forms.CheckboxSelectMultiple)
    enabled = forms.BooleanField(required=False, label="Enabled", initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(Channel.objects.values_list("slug", "name"))
        self.fields["channels"].choices = names  # type: ignore[attr-defined]  # a choice field

    @classmethod
    def of(cls, rule: AlertRule) -> RuleForm:
        """Return the form filled in from `rule`."""
        initial = {name: getattr(rule, name) for name in cls.base_fields if name != "channels"}
        return cls(initial={**initial, "channels": list(rule.channels.values_list("slug", flat=True))})

    def values(self) -> dict[str, Any]:
        """Return what the services take. Call it on a valid form."""
        return {**self.cleaned_data, "hold": self.cleaned_data["hold"] or 0}


def tags_of(text: str) -> dict[str, str]:
    """Return the tags of `model=penguins, zone=eu`. Raises ValidationError."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = part.partition("=")
        if not sign or not name.strip():
            raise forms.ValidationError("write tags as model=penguins, zone=eu")
        found[name.strip()] = value.strip()
    return found


def _seconds(text: str) -> int:
    try:
        return spans.seconds_of(text)
    except ValueError as exc:
        raise forms.ValidationError(str(exc)) from exc
