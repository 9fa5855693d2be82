"""The forms of schedules."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms import FilterForm
from mcp_site.core.errors import AppError, Rejected
from workflows.forms import JsonField
from workflows.models import Workflow
from workflows.models.schedule import CatchUp, Overlap, Schedule
from workflows.schedules.cron import zones

_TEXT = {"class": "c-input"}
_MONO = {"class": "c-input u-mono", "spellcheck": "false", "autocomplete": "off"}


class ScheduleFilterForm(FilterForm):
    """`?search=&workflow=&paused=`."""

    workflow = forms.SlugField(required=False, max_length=63)
    paused = forms.BooleanField(required=False)


class StarterForm(forms.Form):
    """A form of what starts a workflow. The rules are the service's."""

    def take(self, exc: AppError) -> None:
        """Show what a service refused beside its field, and above the form what belongs to none."""
        if not isinstance(exc, Rejected):
            self.add_error(None, exc.detail)
            return
        for problem in exc.problems:
            name, _, inside = problem.path.partition(".")
            text = f"{inside}: {problem.detail}" if inside else problem.detail
            self.add_error(name if name in self.fields else None, text)


class ScheduleForm(StarterForm):
    """What a schedule does. The rules are the service's; what it refuses is shown beside the field."""

    workflow = forms.ModelChoiceField(Workflow.objects.none(), to_field_name="slug", widget=forms.Select(_TEXT))
    cron = forms.CharField(
        label="When",
        max_length=400,
        widget=forms.TextInput({**_MONO, "placeholder": "0 9 * * mon-fri"}),
        help_text="Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly.",
    )
    timezone = forms.CharField(
        label="On the clock of", max_length=64, initial="UTC", widget=forms.TextInput({**_MONO, "list": "zones"})
    )
    version = forms.CharField(
        required=False,
        max_length=63,
        widget=forms.TextInput(_MONO),
        help_text="A number, or an alias that is looked up at each start. Empty for the newest.",
    )
    inputs = JsonField(required=False, initial={}, help_text="A JSON object.")
    catch_up = forms.ChoiceField(
        label="If the panel was not running then",
        choices=CatchUp.choices,
        initial=CatchUp.LAST,
        widget=forms.Select(_TEXT),
    )
    overlap = forms.ChoiceField(
        label="If the run before it is still going",
        choices=Overlap.choices,
        initial=Overlap.ALLOW,
        widget=forms.Select(_TEXT),
    )

    def __init__(self, *args: Any, workflows: Any, schedule: Schedule | None = None, **kwargs: Any) -> None:
        """Make the form; for a `schedule` that is there, without the workflow, which stays."""
        if schedule is not None:
            names = ("cron", "timezone", "version", "inputs", "catch_up", "overlap")
            kwargs["initial"] = {name: getattr(schedule, name) for name in names}
        super().__init__(*args, **kwargs)
        if schedule is not None:
            del self.fields["workflow"]
        else:
            chosen: Any = self.fields["workflow"]
            chosen.queryset = workflows

    @property
    def zones(self) -> list[str]:
        """Return the names to choose from."""
        return sorted(zones())

    def clean_inputs(self) -> Any:
        """Return the inputs, an empty object for nothing."""
        value = self.cleaned_data["inputs"]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise forms.ValidationError("must be a JSON object")
        return value
