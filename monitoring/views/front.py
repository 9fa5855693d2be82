"""The first page, and the search over everything."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import access
from accounts.mixins import PageView
from connections.models import Connection
from definitions.models import Definition
from monitoring import dashboard
from workflows.models import Run, Workflow

MAX_FOUND = 20


class Dashboard(PageView):
    """How things stand."""

    section = "dashboard"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the numbers, or the first steps where nothing has run yet."""
        context = {
            "summary": dashboard.summary(self.person),
            "may_create": access.can(self.person, "workflow.create"),
        }
        return self.page_or_part("monitoring/dashboard.html", "monitoring/partials/dashboard.html", context)


class SearchForm(forms.Form):
    """`?q=`."""

    q = forms.CharField(required=False, max_length=200)


class Search(PageView):
    """Everything whose name holds a text; a run's number leads to the run."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show what was found, or go there at once."""
        form = SearchForm(request.GET)
        text = form.cleaned_data["q"] if form.is_valid() else ""
        number = text.removeprefix("#")
        if number.isascii() and number.isdecimal() and len(number) < 18:
            run = Run.objects.visible_to(self.person).filter(pk=int(number)).only("uid").first()
            if run is not None:
                return redirect(run)
        return self.page("monitoring/search.html", {"search_text": text, "groups": self._found(text) if text else []})

    def _found(self, text: str) -> list[tuple[str, list[Any]]]:
        fits = Q(slug__icontains=text) | Q(name__icontains=text)
        groups: list[tuple[str, list[Any]]] = [
            ("workflow", list(Workflow.objects.visible_to(self.person).active().filter(fits)[:MAX_FOUND])),
            ("definition", list(Definition.objects.visible_to(self.person).active().filter(fits)[:MAX_FOUND])),
            ("connection", list(Connection.objects.visible_to(self.person).active().filter(fits)[:MAX_FOUND])),
        ]
        return [(name, found) for name, found in groups if found]
