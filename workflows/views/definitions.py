"""What the page of a definition shows of runs, and the form that runs it by itself."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, resolve_url

from accounts import access
from accounts.mixins import PageView
from definitions.models import Definition, DefinitionVersion
from mcp_site.core.errors import AppError, Forbidden
from workflows import services
from workflows.forms import RunForm
from workflows.models import Run, TriggerKind
from workflows.views.workflows import refuse

RECENT = 8


class _OfDefinition(PageView):
    section = "definitions"

    def find(self, slug: str) -> Definition:
        """Return the definition. Raises Http404 for what the person may not see."""
        found: Definition = get_object_or_404(Definition.objects.visible_to(self.person), slug=slug)
        return found


class DefinitionRuns(_OfDefinition):
    """The last one-step runs of a definition, as a fragment."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Render them; whoever comes here without htmx wants the list."""
        definition = self.find(slug)
        if not getattr(request, "htmx", False):
            return redirect(f"{resolve_url('run-list')}?definition={definition.slug}")
        runs = Run.objects.visible_to(self.person).filter(definition=definition).for_api().defer("output", "inputs")
        context = {"runs": list(runs.order_by("-id")[:RECENT]), "definition": definition}
        return self.page("workflows/partials/definition_runs.html", context)


class DefinitionRun(_OfDefinition):
    """The form that runs a definition by itself."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the form for the version that the query names, the newest for none."""
        definition = self.find(slug)
        version = _version(definition, request.GET.get("version"))
        return self._show(definition, version, RunForm(version.input_schema))

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Start a run and go to its page, or say beside the form what is wrong."""
        definition = self.find(slug)
        version = _version(definition, request.POST.get("version"))
        form = RunForm(version.input_schema, request.POST)
        status = 400
        if form.is_valid():
            try:
                run = services.start_definition_run(
                    definition=definition,
                    inputs=form.inputs,
                    by=self.person,
                    version=version.number,
                    trigger=TriggerKind.PAGE,
                )
                return self._go_to(run)
            except Forbidden as exc:
                raise PermissionDenied(exc.detail) from exc
            except AppError as exc:
                status = refuse(form, exc)
        return self._show(definition, version, form, status)

    def _show(
        self, definition: Definition, version: DefinitionVersion, form: RunForm, status: int = 200
    ) -> HttpResponse:
        may_run = access.can(self.person, "definition.run", definition) and not definition.is_archived
        context = {"definition": definition, "version": version, "form": form, "may_run": may_run}
        page, part = "workflows/definition_run.html", "workflows/partials/definition_form.html"
        return self.page_or_part(page, part, context, status)

    def _go_to(self, run: Run) -> HttpResponse:
        if getattr(self.request, "htmx", False):
            response = HttpResponse(status=204)
            response["HX-Redirect"] = run.get_absolute_url()
            return response
        return redirect(run)


def _version(definition: Definition, named: str | None) -> DefinitionVersion:
    """Return the version of that number, the newest for none. Raises Http404 where there is no such one."""
    versions = definition.versions.order_by("-number")
    if named and not (named.isascii() and named.isdecimal() and len(named) < 10):
        raise Http404
    version = versions.filter(number=int(named)).first() if named else versions.first()
    if version is None:
        raise Http404
    return version
