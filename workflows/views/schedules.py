"""The pages of schedules: all of them, the form of one, pausing and removing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView
from accounts.models import User
from mcp_site.core.errors import AppError, Forbidden, Rejected
from workflows.models import Workflow
from workflows.models.schedule import Schedule
from workflows.services import schedules as services
from workflows.services.starters import may_change, may_stop
from workflows.views.schedule_forms import ScheduleFilterForm, ScheduleForm

PAGE_SIZE = 50
SHOWN_FIRINGS = 20


def rows_of(person: User, schedules: Any) -> list[dict[str, Any]]:
    """Return what a table shows of each schedule: its next five due times, and what the person may do."""
    return [
        {
            "schedule": one,
            "upcoming": services.upcoming(one.cron, one.timezone) if one.enabled else [],
            "may_change": may_change(person, one),
            "may_stop": may_stop(person, one),
        }
        for one in schedules
    ]


class ScheduleList(PageView):
    """All schedules of the workflows that the person may see."""

    section = "schedules"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query: what is due next comes first."""
        form = ScheduleFilterForm(request.GET)
        found = self._narrowed(Schedule.objects.visible_to(self.person), form.chosen).for_api()
        page = Paginator(found.order_by("-enabled", "next_at", "id"), PAGE_SIZE).get_page(form.chosen.get("page"))
        may_create = access.can(self.person, "schedule.edit")
        context = {"form": form, "page": page, "rows": rows_of(self.person, page.object_list), "may_create": may_create}
        return self.page_or_part("workflows/schedule_list.html", "workflows/partials/schedule_rows.html", context)

    def _narrowed(self, found: Any, chosen: dict[str, Any]) -> Any:
        if text := chosen.get("search"):
            found = found.filter(Q(workflow__slug__icontains=text) | Q(cron__icontains=text))
        if slug := chosen.get("workflow"):
            found = found.filter(workflow__slug=slug)
        return found.filter(enabled=False) if chosen.get("paused") else found


class _OfSchedule(PageView):
    section = "schedules"

    def find(self, uid: UUID) -> Schedule:
        """Return the schedule. Raises Http404 for what the person may not see."""
        found: Schedule = get_object_or_404(Schedule.objects.visible_to(self.person).for_api(), uid=uid)
        return found

    def workflows(self) -> QuerySet[Workflow]:
        """Return those that the person may choose from."""
        return Workflow.objects.visible_to(self.person).active().filter(latest_number__gt=0)

    def show(self, form: ScheduleForm, schedule: Schedule | None = None, status: int = 200) -> HttpResponse:
        """Render the form, with what became of the last due times."""
        context: dict[str, Any] = {"form": form, "schedule": schedule, "may_change": True}
        if schedule is not None:
            context |= rows_of(self.person, [schedule])[0]
            context["firings"] = list(schedule.firings.select_related("run")[:SHOWN_FIRINGS])
        return self.page("workflows/schedule_form.html", context, status=status)

    def refused(self, form: ScheduleForm, exc: AppError, schedule: Schedule | None = None) -> HttpResponse:
        """Show what a service refused in the form."""
        if isinstance(exc, Forbidden):
            raise PermissionDenied(exc.detail) from exc
        form.take(exc)
        return self.show(form, schedule, exc.status)


class ScheduleNew(_OfSchedule):
    """A new schedule."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form, for the workflow that the query names."""
        if not access.can(self.person, "schedule.edit"):
            raise PermissionDenied
        initial = {"workflow": request.GET.get("workflow")}
        return self.show(ScheduleForm(workflows=self.workflows(), initial=initial))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make it and go to the list, or say beside the fields what is wrong."""
        form = ScheduleForm(request.POST, workflows=self.workflows())
        if not form.is_valid():
            return self.show(form, status=400)
        try:
            made = services.create_schedule(by=self.person, **form.cleaned_data)
        except AppError as exc:
            return self.refused(form, exc)
        messages.success(request, f"{made.workflow.slug} now runs by the clock.")
        return redirect("schedule-list")


class ScheduleEdit(_OfSchedule):
    """One schedule."""

    def get(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Show the form and its last due times."""
        schedule = self.find(uid)
        return self.show(ScheduleForm(workflows=self.workflows(), schedule=schedule), schedule)

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Change it and come back, or say beside the fields what is wrong."""
        schedule = self.find(uid)
        form = ScheduleForm(request.POST, workflows=self.workflows(), schedule=schedule)
        if not form.is_valid():
            return self.show(form, schedule, 400)
        try:
            services.update_schedule(by=self.person, schedule=schedule, **form.cleaned_data)
        except AppError as exc:
            return self.refused(form, exc, schedule)
        messages.success(request, "The schedule is changed.")
        return redirect(schedule)


class ScheduleSwitch(_OfSchedule):
    """Pausing and going on."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Set it on or off as the form says, and come back to where the person was."""
        schedule = self.find(uid)
        with self.saying():
            services.update_schedule(by=self.person, schedule=schedule, enabled=request.POST.get("enabled") == "true")
        return redirect("schedule-list" if request.POST.get("back") == "list" else schedule)


class ScheduleDelete(_OfSchedule):
    """Removing one."""

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Remove it and go to the list."""
        with self.saying():
            services.delete_schedule(by=self.person, schedule=self.find(uid))
            messages.success(request, "The schedule is removed; its runs stay.")
        return redirect("schedule-list")


class SchedulePreview(PageView):
    """The next five due times of what stands in the form, as a fragment."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say when, or what is wrong with it."""
        context: dict[str, Any] = {}
        try:
            context["upcoming"] = services.upcoming(request.GET.get("cron", ""), request.GET.get("timezone", ""))
            context["timezone"] = request.GET.get("timezone", "")
        except Rejected as exc:
            context["problem"] = exc.detail
        return self.page("workflows/partials/schedule_upcoming.html", context)
