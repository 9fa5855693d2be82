"""Workflows and runs in the Django admin: metadata to edit, everything that happened to read only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mcp_site.core.admin import ReadOnly
from mcp_site.core.errors import AppError
from workflows import services
from workflows.models import (
    Artifact,
    Attempt,
    Event,
    Firing,
    Limit,
    Run,
    Schedule,
    StepRun,
    Trigger,
    TriggerCall,
    Workflow,
    WorkflowAlias,
    WorkflowVersion,
)


class VersionInline(admin.TabularInline):
    """The versions of a workflow, to look at."""

    model = WorkflowVersion
    fields = ("number", "note", "digest", "created_by", "created_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Versions are saved through the panel, which checks them."""
        return False


@admin.register(Workflow)
class WorkflowAdmin(admin.ModelAdmin):
    """Workflows: name, owner, visibility; the graph is in the versions."""

    list_display = ("slug", "name", "owner", "visibility", "latest_number", "archived_at")
    list_filter = ("visibility",)
    search_fields = ("slug", "name")
    readonly_fields = ("uid", "slug", "latest_number", "created_at", "updated_at")
    fields = (
        "slug",
        "name",
        "description",
        "tags",
        "owner",
        "visibility",
        "archived_at",
        *readonly_fields[:1],
        *readonly_fields[2:],
    )
    list_select_related = ("owner",)
    inlines = (VersionInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workflows are made through the panel, which checks their graph."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Archive instead: runs keep pointing here."""
        return False


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnly):
    """Versions never change."""

    list_display = ("workflow", "number", "note", "created_by", "created_at")
    list_select_related = ("workflow", "created_by")
    search_fields = ("workflow__slug",)


@admin.register(WorkflowAlias)
class WorkflowAliasAdmin(ReadOnly):
    """Aliases are moved through the panel, which records it."""

    list_display = ("workflow", "name", "version", "moved_by", "moved_at")
    list_select_related = ("workflow", "version__workflow", "moved_by")


@admin.register(Run)
class RunAdmin(ReadOnly):
    """Runs with their attempts and events; the action cancels."""

    list_display = ("id", "workflow", "definition", "state", "trigger_kind", "started_by", "created_at", "finished_at")
    list_filter = ("state", "trigger_kind")
    search_fields = ("=id", "workflow__slug", "definition__slug")
    list_select_related = ("workflow", "definition", "started_by")
    exclude = ("pins", "graph")
    readonly_fields = ("attempts_made", "latest_events")
    actions = ("cancel_runs",)
    show_full_result_count = False

    @admin.display(description="attempts")
    def attempts_made(self, run: Run) -> SafeString:
        """Show the newest 50 attempts: their table has a composite key, which the admin can't list by itself."""
        rows = Attempt.objects.filter(run_id=run.pk).order_by("-started_at")[:50]
        lines = (
            (a.n, a.number, a.outcome or "running", a.worker, a.started_at.isoformat(timespec="milliseconds"))
            for a in rows
        )
        return format_html("<ul>{}</ul>", format_html_join("", "<li>step {} attempt {}: {} on {} at {}</li>", lines))

    @admin.display(description="latest events")
    def latest_events(self, run: Run) -> SafeString:
        """Show the newest 50 events."""
        rows = Event.objects.filter(run_id=run.pk).order_by("-number")[:50]
        lines = ((e.number, e.kind, e.step or "", e.at.isoformat(timespec="milliseconds")) for e in rows)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{} {} {} at {}</li>", lines))

    @admin.action(description="Cancel the chosen runs")
    def cancel_runs(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel each; those that have ended are named."""
        for run in queryset:
            try:
                services.cancel_run(run=run, by=request.user)  # type: ignore[arg-type]  # staff is signed in
            except AppError as exc:
                self.message_user(request, f"{run}: {exc.detail}", messages.WARNING)


@admin.register(StepRun)
class StepRunAdmin(ReadOnly):
    """Steps of runs."""

    list_display = ("run", "key", "index", "kind", "state", "reason", "attempt", "worker")
    list_filter = ("state", "kind")
    search_fields = ("=run__id", "key")
    exclude = ("output", "item")
    show_full_result_count = False


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly):
    """Files of runs."""

    list_display = ("name", "run", "step", "media_type", "size", "created_at")
    search_fields = ("=run__id", "name")
    show_full_result_count = False


@admin.register(Limit)
class LimitAdmin(ReadOnly):
    """Concurrency limits."""

    list_display = ("id", "key", "size")


@admin.register(Schedule)
class ScheduleAdmin(ReadOnly):
    """Schedules are changed through the panel, which checks them and works out their next time."""

    list_display = ("workflow", "cron", "timezone", "owner", "enabled", "next_at")
    list_filter = ("enabled",)
    list_select_related = ("workflow", "owner")
    search_fields = ("workflow__slug",)


@admin.register(Firing)
class FiringAdmin(ReadOnly):
    """What became of due times."""

    list_display = ("schedule", "due_at", "outcome", "run", "detail")
    list_filter = ("outcome",)
    list_select_related = ("schedule", "run")
    show_full_result_count = False


@admin.register(Trigger)
class TriggerAdmin(ReadOnly):
    """Triggers are changed through the panel; their token and secret are shown nowhere."""

    list_display = ("workflow", "prefix", "owner", "enabled", "last_called_at")
    list_filter = ("enabled",)
    list_select_related = ("workflow", "owner")
    search_fields = ("workflow__slug", "prefix")
    exclude = ("secret", "token_digest")


@admin.register(TriggerCall)
class TriggerCallAdmin(ReadOnly):
    """What became of calls whose signature was right."""

    list_display = ("trigger", "at", "outcome", "run", "detail")
    list_filter = ("outcome",)
    list_select_related = ("trigger", "run")
    exclude = ("signature",)
    show_full_result_count = False
