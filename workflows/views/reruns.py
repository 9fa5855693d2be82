"""The page that shows what a rerun would take over and what it would run, and starts it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts.forms import FilterForm
from accounts.mixins import PageView, sentences_of
from mcp_site.core.errors import AppError, Forbidden
from workflows import services
from workflows.forms import RunForm
from workflows.models import Run, StepRun
from workflows.services import Rerun
from workflows.views.workflows import refuse


class RerunForm(FilterForm):
    """`?start=&versions=`: from where, and with which versions."""

    start = forms.RegexField(regex=r"^[a-z][a-z0-9_]{0,62}$", required=False)
    versions = forms.ChoiceField(
        required=False, choices=[("same", "The same versions"), ("newest", "The newest versions")]
    )


class RerunPage(PageView):
    """Running a run again."""

    section = "runs"

    def get(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Show what would happen with the run's own inputs."""
        run = self._find(uid)
        form = RunForm(self._schema(run), given=run.inputs)
        return self._show(run, RerunForm(request.GET), form, run.inputs)

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Show what would happen with other inputs, or start it."""
        run = self._find(uid)
        asked = RerunForm(request.POST)
        form = RunForm(self._schema(run), request.POST)
        if not form.is_valid():
            return self._show(run, asked, form, None, 400)
        if "preview" in request.POST:
            return self._show(run, asked, form, form.inputs)
        try:
            made = services.rerun_run(run=run, by=self.person, inputs=form.inputs, **self._named(asked))
        except Forbidden as exc:
            raise PermissionDenied(exc.detail) from exc
        except AppError as exc:
            return self._show(run, asked, form, None, refuse(form, exc))
        return redirect(made)

    def _find(self, uid: UUID) -> Run:
        found = Run.objects.visible_to(self.person).select_related("workflow", "version", "definition")
        run: Run = get_object_or_404(found.defer("output"), uid=uid)
        return run

    def _schema(self, run: Run) -> Any:
        return run.version.input_schema if run.version is not None else None

    def _named(self, asked: RerunForm) -> dict[str, Any]:
        return {
            "start": asked.chosen.get("start") or "start",
            "versions": asked.chosen.get("versions") or "same",
        }

    def _show(self, run: Run, asked: RerunForm, form: RunForm, inputs: Any, status: int = 200) -> HttpResponse:
        rerun: Rerun | None = None
        problems: list[str] = []
        if inputs is not None:
            try:
                rerun = services.preview_rerun(run=run, by=self.person, inputs=inputs, **self._named(asked))
            except Forbidden as exc:
                raise PermissionDenied(exc.detail) from exc
            except AppError as exc:
                problems, status = sentences_of(exc), exc.status
        steps = StepRun.objects.graph_steps().filter(run=run).order_by("n").values_list("key", flat=True)
        context = {
            "run": run,
            "asked": asked,
            "chosen": self._named(asked),
            "form": form,
            "problems": [*problems, *form.non_field_errors()],
            "keys": list(steps),
            "rows": [(choice, rerun.version_of(choice)) for choice in rerun.shown] if rerun is not None else [],
            "reused": sum(choice.carried is not None for choice in rerun.shown) if rerun is not None else 0,
        }
        return self.page("workflows/run_rerun.html", context, status=status)
