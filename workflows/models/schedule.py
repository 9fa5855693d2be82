"""Schedules: runs that start by the clock, and what became of each due time."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from accounts.models import User
from mcp_site.core.models import PublicId, Timestamped
from workflows.models.run import Run, TriggerKind
from workflows.models.workflow import Workflow


class CatchUp(models.TextChoices):
    """What becomes of due times that passed while the panel was not running."""

    NONE = "none", "Leave them out"
    LAST = "last", "Make up for the last one"
    ALL = "all", "Make up for all of them"


class Overlap(models.TextChoices):
    """What becomes of a due time while a run of the same schedule is still going."""

    ALLOW = "allow", "Start beside it"
    SKIP = "skip", "Leave it out"
    QUEUE = "queue", "Start when it has ended"


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Reads of schedules."""

    def visible_to(self, user: User | AnonymousUser) -> ScheduleQuerySet:
        """Return those whose workflow `user` may see."""
        return self.filter(workflow__in=Workflow.objects.visible_to(user).values("pk"))

    def for_api(self) -> ScheduleQuerySet:
        """Load what lists and details show."""
        return self.select_related("workflow", "owner", "last_run")


class Schedule(PublicId, Timestamped):
    """A workflow that starts by the clock, as its owner."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="schedules")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="schedules")
    cron = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC")
    inputs = models.JSONField(default=dict, blank=True)
    # A number or an alias, looked up at each start; empty for the newest.
    version = models.CharField(max_length=63, blank=True)
    catch_up = models.CharField(max_length=8, choices=CatchUp, default=CatchUp.LAST)
    overlap = models.CharField(max_length=8, choices=Overlap, default=Overlap.ALLOW)
    enabled = models.BooleanField(default=True)
    # Why the panel paused it, or what was wrong with the last start; for people.
    notice = models.CharField(max_length=500, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    last_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        db_table = "workflow_schedules"
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=Q(catch_up__in=CatchUp.values), name="schedule_catch_up_known"),
            models.CheckConstraint(condition=Q(overlap__in=Overlap.values), name="schedule_overlap_known"),
            models.CheckConstraint(
                condition=Q(enabled=True, next_at__isnull=False) | Q(enabled=False, next_at__isnull=True),
                name="schedule_enabled_has_a_time",
            ),
        ]
        # What the tick asks for each second: who is due.
        indexes = [models.Index(fields=["next_at"], name="schedule_due", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return f"{self.cron} ({self.timezone})"

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("schedule-edit", args=[self.uid])

    def unfinished_runs(self) -> models.QuerySet[Run]:
        """Return its runs that are still going."""
        mine = Run.objects.filter(trigger_kind=TriggerKind.SCHEDULE, trigger_id=str(self.uid))
        return mine.filter(finished_at__isnull=True)


class Outcome(models.TextChoices):
    """What became of a due time."""

    STARTED = "started", "Started"
    QUEUED = "queued", "Waits for the run before it"
    SKIPPED = "skipped", "Left out"
    MISSED = "missed", "Missed"
    REFUSED = "refused", "Could not start"


class Firing(models.Model):
    """One due time of a schedule: there is at most one row for each, so that no two processes start it twice."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    detail = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workflow_firings"
        ordering = ("-due_at",)
        constraints = [
            models.UniqueConstraint(fields=["schedule", "due_at"], name="firing_once"),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="firing_outcome_known"),
        ]
        indexes = [
            # What the tick asks for each second: who waits.
            models.Index(fields=["schedule", "due_at"], name="firing_queued", condition=Q(outcome=Outcome.QUEUED)),
            # What is pruned: the oldest.
            models.Index(fields=["at"], name="firing_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.due_at:%Y-%m-%d %H:%M} {self.outcome}"
