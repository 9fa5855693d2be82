"""What forms of all pages share: the panel's look, and refusals of services beside their fields."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from accounts.models.user import is_one_line
from mcp_site.core.errors import AppError, Problem, Rejected


class LineField(forms.CharField):
    """One line of text without control characters: it goes into mails, logs and headers."""

    def clean(self, value: Any) -> str:
        """Return the text, trimmed. Raises ValidationError."""
        text: str = super().clean(value)
        if not is_one_line(text):
            raise forms.ValidationError("This may not hold line breaks or control characters.", code="control")
        return text


class PasswordField(forms.CharField):
    """A password as it is typed: nothing is trimmed, and a refused form never shows it again."""

    def __init__(self, *, autocomplete: str, **kwargs: Any) -> None:
        widget = forms.PasswordInput(attrs={"class": "c-input", "autocomplete": autocomplete})
        super().__init__(strip=False, max_length=1024, widget=widget, **kwargs)


def sentence(detail: str) -> str:
    """Return what a service says of a value (`is taken`) as a sentence that stands beside the value's field."""
    said = f"it {detail}" if detail.startswith(("is ", "may ", "must ", "has ", "owns ")) else detail
    ended = said if said.endswith((".", "!", "?")) else f"{said}."
    return ended[:1].upper() + ended[1:]


class PanelForm(forms.Form):
    """A form in the panel's look, which can show what a service refused."""

    # Another name of a field in the problems of the services, such as `{"user": "receiver"}`.
    named: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Pages hold several forms: each needs its own ids, though not other names.
        kwargs.setdefault("auto_id", f"{type(self).__name__.removesuffix('Form').lower()}_%s")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput | forms.CheckboxSelectMultiple | forms.RadioSelect):
                field.widget.attrs.setdefault("class", "c-input")

    def take(self, exc: AppError) -> None:
        """Show each problem that a service found beside its field; what belongs to no field, above the form."""
        problems = exc.problems if isinstance(exc, Rejected) else [Problem(exc.attr or "", exc.code, exc.detail)]
        for problem in problems:
            path, _, place = problem.path.partition(".")
            name = self.named.get(path, path)
            item = self.item(name, place)
            text = f"“{item}”: {sentence(problem.detail)}" if item else sentence(problem.detail)
            self.add_error(name if name in self.fields else None, text)

    def item(self, name: str, place: str) -> str:
        """Return which item of a list field a problem is about, in words; nothing where it is about the whole."""
        values = self.cleaned_data.get(name)
        if isinstance(values, list) and place.isdecimal() and int(place) < len(values):
            return str(values[int(place)])
        return ""


class FilterForm(forms.Form):
    """The query of a list page. What is not understood is said beside the list, never guessed."""

    search = forms.CharField(required=False, max_length=200, label="Search")
    page = forms.IntegerField(required=False, min_value=1, max_value=10**6)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "c-input")
        # Kept valid or not: a list page is always shown.
        self.is_valid()

    @property
    def chosen(self) -> dict[str, Any]:
        """Return what was understood of the query, by name."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [], False)}

    @property
    def is_narrowed(self) -> bool:
        """Tell whether the list shows less than everything."""
        return bool(self.chosen.keys() - {"page"})

    @property
    def refusals(self) -> list[str]:
        """Return a sentence for each parameter that was not understood."""
        return [f"{name}: {' '.join(map(str, errors))}" for name, errors in self.errors.items()]
