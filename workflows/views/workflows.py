"""The pages of workflows: the list, and one with its graph, versions, last runs and the form to run it."""

from __future__ import annotations

from typing import Any

import yaml
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView, sentences_of
from definitions.models import DefinitionVersion
from mcp_site.core.errors import AppError, Forbidden, Rejected
from mcp_site.core.ids import Reference
from workflows import services, stats
from workflows.forms import RunForm, WorkflowFilterForm
from workflows.graph import references
from workflows.models import Run, Schedule, Trigger, TriggerKind, Workflow, WorkflowVersion
from workflows.views import drawing, schedules

PAGE_SIZE = 50
MAX_VERSIONS = 200


class WorkflowList(PageView):
    """All workflows that the person may see."""

    section = "workflows"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them with the last run of each, narrowed by the query."""
        form = WorkflowFilterForm(request.GET)
        found = self._narrowed(Workflow.objects.visible_to(self.person), form.chosen).for_api().order_by("slug")
        page = Paginator(found, PAGE_SIZE).get_page(form.chosen.get("page"))
        latest = stats.latest_of(workflow.pk for workflow in page.object_list)
        rows = [(workflow, latest.get(workflow.pk)) for workflow in page.object_list]
        context = {"form": form, "page": page, "rows": rows}
        return self.page_or_part("workflows/workflow_list.html", "workflows/partials/workflow_rows.html", context)

    def _narrowed(self, found: Any, chosen: dict[str, Any]) -> Any:
        found = found.exclude(archived_at=None) if chosen.get("archived") else found.active()
        if text := chosen.get("search"):
            found = found.filter(Q(slug__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
        if tag := chosen.get("tag"):
            found = found.filter(tags__contains=[tag])
        return found


class _OfWorkflow(PageView):
    """What the page and its run form share."""

    section = "workflows"

    def find(self, slug: str) -> Workflow:
        """Return the workflow. Raises Http404 for what the person may not see."""
        found: Workflow = get_object_or_404(Workflow.objects.visible_to(self.person).for_api(), slug=slug)
        return found

    def version(self, workflow: Workflow, named: str | None) -> WorkflowVersion | None:
        """Return the version of that number, the newest for none. Raises Http404 where there is no such one."""
        versions = workflow.versions.select_related("created_by")
        if not named:
            return versions.first()
        if not named.isascii() or not named.isdecimal() or len(named) > 9:
            raise Http404
        return get_object_or_404(versions, number=int(named))

    def show(
        self, workflow: Workflow, version: WorkflowVersion | None, form: RunForm | None = None, status: int = 200
    ) -> HttpResponse:
        """Render the page."""
        runs = Run.objects.visible_to(self.person).filter(workflow=workflow).for_api().defer("output", "inputs")
        latest = list(runs.order_by("-id")[: stats.GRID_RUNS])
        context: dict[str, Any] = {
            "workflow": workflow,
            "version": version,
            "versions": list(workflow.versions.select_related("created_by").defer("graph")[:MAX_VERSIONS]),
            "aliases": _aliases(workflow),
            "runs": latest[:8],
            "may_share": access.can(self.person, "workflow.edit", workflow),
            "may_run": workflow.archived_at is None and access.can(self.person, "workflow.run", workflow),
            "schedules": schedules.rows_of(self.person, Schedule.objects.filter(workflow=workflow).for_api()),
        }
        context["may_schedule"] = context["may_run"] and access.can(self.person, "schedule.edit")
        context["triggers"] = list(Trigger.objects.filter(workflow=workflow).for_api())
        context["may_trigger"] = context["may_run"] and access.can(self.person, "trigger.edit")
        if version is not None:
            picture = drawing.picture_of_graph(version.graph, _kinds(version.graph))
            context |= {
                "picture": picture,
                "sizes": drawing.SIZES,
                "grid": stats.grid_of(latest, [box.key for box in picture.boxes]) if latest else None,
                "document": yaml.safe_dump(version.graph, sort_keys=False, allow_unicode=True, width=100),
                "form": form or RunForm(version.input_schema, given=self._given(workflow), free=False),
            }
        return self.page("workflows/workflow_detail.html", context, status=status)

    def _given(self, workflow: Workflow) -> dict[str, Any]:
        """Return the inputs of the run that `?from=` names, to begin with them again."""
        named = self.request.GET.get("from", "")
        if not named.isascii() or not named.isdecimal() or len(named) > 18:
            return {}
        run = Run.objects.visible_to(self.person).filter(workflow=workflow, pk=int(named)).only("inputs").first()
        return dict(run.inputs) if run is not None and isinstance(run.inputs, dict) else {}


class WorkflowDetail(_OfWorkflow):
    """One workflow."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show the newest version, or the one that `?version=` names."""
        workflow = self.find(slug)
        return self.show(workflow, self.version(workflow, request.GET.get("version")))


class WorkflowRun(_OfWorkflow):
    """Starting a run from the page."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Send whoever reloads the refused form back to the page."""
        return redirect("workflow-detail", slug)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Start a run and go to its page, or say beside the form what is wrong."""
        workflow = self.find(slug)
        version = self.version(workflow, request.POST.get("version"))
        form = RunForm(version.input_schema if version else None, request.POST, free=False)
        status = 400
        if form.is_valid():
            number = version.number if version else None
            try:
                run = services.start_run(
                    workflow=workflow, inputs=form.inputs, by=self.person, version=number, trigger=TriggerKind.PAGE
                )
                return redirect(run)
            except Forbidden as exc:
                raise PermissionDenied(exc.detail) from exc
            except AppError as exc:
                status = refuse(form, exc)
        return self.show(workflow, version, form, status)


def refuse(form: RunForm, exc: AppError) -> int:
    """Show a refused start in the form; returns the status of the answer."""
    if isinstance(exc, Rejected):
        form.take(exc)
    else:
        for sentence in sentences_of(exc):
            form.add_error(None, sentence)
    return exc.status


def _aliases(workflow: Workflow) -> dict[int, list[str]]:
    named: dict[int, list[str]] = {}
    for alias in workflow.aliases.all():
        named.setdefault(alias.version.number, []).append(alias.name)
    return named


def _kinds(document: Any) -> dict[str, str]:
    """Return the kind of each definition that a graph names, by reference."""
    parsed = {}
    for text in references(document)[0]:
        try:
            parsed[text] = Reference.parse(text)
        except ValueError:
            continue
    found = DefinitionVersion.objects.resolve(set(parsed.values()))
    return {text: found[reference].definition.kind for text, reference in parsed.items() if reference in found}
