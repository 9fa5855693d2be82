"""Runs: one execution of one workflow version (or of one definition) with one object of inputs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from accounts.access import reachable
from accounts.models import User
from definitions.models import Definition
from mcp_site.core.models import PublicId
from workflows.models.workflow import Workflow, WorkflowVersion
from workflows.states import RUN_TERMINAL, RunState

# In a fixed order, because it goes into migrations.
_ENDED = sorted(RUN_TERMINAL)


class TriggerKind(models.TextChoices):
    """What started a run."""

    API = "api", "API"
    PAGE = "page", "Page"
    SCHEDULE = "schedule", "Schedule"
    WEBHOOK = "webhook", "Webhook"
    RERUN = "rerun", "Rerun"
    PARENT = "parent", "Parent run"
    ORCHESTRATION = "orchestration", "Orchestration"
    COMMAND = "command", "Command"


class RunQuerySet(models.QuerySet["Run"]):
    """Reads of runs."""

    def visible_to(self, user: User | AnonymousUser) -> RunQuerySet:
        """Return those whose workflow (one-step: definition) `user` may see, and those that `user` started."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        by_workflow = Workflow.objects.filter(reachable(user, "workflow")).values("pk")
        by_definition = Definition.objects.filter(reachable(user, "definition")).values("pk")
        return self.filter(
            Q(workflow__in=by_workflow) | Q(workflow=None, definition__in=by_definition) | Q(started_by=user)
        )

    def unfinished(self) -> RunQuerySet:
        """Return those that have not ended."""
        return self.exclude(state__in=RUN_TERMINAL)

    def for_api(self) -> RunQuerySet:
        """Load what lists and details show; leaves the graph's document where it is."""
        return self.select_related("workflow", "version", "definition", "started_by", "rerun_of").defer(
            "version__graph", "graph", "pins"
        )


class Run(PublicId):
    """One execution. Its key is its number; only `engine.transitions` changes its state."""

    id = models.BigAutoField("number", primary_key=True)
    workflow = models.ForeignKey(Workflow, null=True, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(WorkflowVersion, null=True, on_delete=models.PROTECT, related_name="runs")
    # A one-step run has a definition instead, and its graph here.
    definition = models.ForeignKey(Definition, null=True, on_delete=models.PROTECT, related_name="runs")
    graph = models.JSONField(null=True)
    # What each step's reference meant at the start: {step key: {"version": pk, "number": n, "alias": name or null}};
    # of a step that calls a workflow `version` is null, and `workflow_version` that one's key.
    pins = models.JSONField(default=dict)
    inputs = models.JSONField(default=dict)
    labels = models.JSONField(default=dict)
    priority = models.PositiveSmallIntegerField(default=5)
    executor = models.CharField(max_length=32, default="celery")
    trigger_kind = models.CharField(max_length=16, choices=TriggerKind)
    trigger_id = models.CharField(max_length=64, blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs")
    rerun_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="reruns")

    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED, db_default=RunState.QUEUED)
    reason = models.CharField(max_length=300, blank=True, db_default="")
    # How many rows of steps there are (the next free position), how many are not terminal, how many sinks ended badly.
    steps = models.IntegerField(db_default=0)
    open = models.IntegerField(db_default=0)
    bad_ends = models.IntegerField(db_default=0)
    # The key of the last step that ended badly by itself: what a failed run's reason names.
    bad_step = models.CharField(max_length=80, blank=True, db_default="")
    # The number of the last event.
    events = models.IntegerField(db_default=0)
    # The position of the step whose output is the run's.
    output_n = models.IntegerField(null=True)
    output = models.JSONField(null=True)
    output_ref = models.CharField(max_length=64, null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=6, db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # The run's own clock: when it is over, whatever still goes on.
    deadline_at = models.DateTimeField(null=True)
    # Of a child run: the step that waits for it, and how many runs are above it.
    # No constraint in the database: the parent may be deleted before its child, whose finished row never changes.
    parent_step = models.ForeignKey(
        "workflows.StepRun",
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="child_runs",
        db_index=False,
        db_constraint=False,
    )
    depth = models.PositiveSmallIntegerField(db_default=0)
    # The limit on runs at once that this one counts for; whether it has its slot is a row of its own.
    limit = models.ForeignKey(
        "workflows.RunLimit", null=True, on_delete=models.SET_NULL, related_name="runs", db_index=False
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        db_table = "workflow_runs"
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_known"),
            models.CheckConstraint(condition=Q(open__gte=0), name="run_open_counted"),
            models.CheckConstraint(
                condition=Q(open=0, state__in=_ENDED) | (Q(open__gt=0) & ~Q(state__in=_ENDED)),
                name="run_ends_with_its_steps",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False, state__in=_ENDED)
                | (Q(finished_at__isnull=True) & ~Q(state__in=_ENDED)),
                name="run_end_has_a_time",
            ),
        ]
        indexes = [
            # The runs of a workflow, newest first: its page.
            models.Index(fields=["workflow", "-id"], name="run_by_workflow"),
            models.Index(fields=["definition", "-id"], name="run_by_definition", condition=Q(definition__isnull=False)),
            models.Index(fields=["started_by", "-id"], name="run_by_starter"),
            # What is going on now: the dashboard, the filter by state, and the sweeper's look at clocks of runs.
            models.Index(fields=["state", "-id"], name="run_unfinished", condition=Q(finished_at__isnull=True)),
            models.Index(fields=["parent_step"], name="run_by_parent", condition=Q(parent_step__isnull=False)),
            # What ended lately: success rate and durations.
            models.Index(fields=["-finished_at"], name="run_finished", condition=Q(finished_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("run-detail", args=[self.uid])

    @property
    def is_terminal(self) -> bool:
        """Tell whether the run has ended."""
        return self.state in RUN_TERMINAL

    @property
    def duration(self) -> timedelta | None:
        """Return how long it ran, from its first step's start to its end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    @property
    def subject(self) -> Workflow | Definition | None:
        """Return what was run. Needs `workflow` and `definition` loaded, else queries."""
        return self.workflow or self.definition

    def document(self) -> dict[str, Any]:
        """Return the graph that this run carries out. Reads the version."""
        document: dict[str, Any] = self.version.graph if self.version is not None else self.graph or {}
        return document
