"""Triggers: an address that starts a workflow when an outside system calls it, and the calls that came in."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from accounts.models import User
from mcp_site.core.models import PublicId, Timestamped
from workflows.models.run import Run
from workflows.models.workflow import Workflow


class TriggerQuerySet(models.QuerySet["Trigger"]):
    """Reads of triggers."""

    def visible_to(self, user: User | AnonymousUser) -> TriggerQuerySet:
        """Return those whose workflow `user` may see."""
        return self.filter(workflow__in=Workflow.objects.visible_to(user).values("pk"))

    def for_api(self) -> TriggerQuerySet:
        """Load what lists and details show."""
        return self.select_related("workflow", "owner", "last_run")


class Trigger(PublicId, Timestamped):
    """An address with a secret token in it, whose calls are signed with a second secret. It acts as its owner."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="triggers")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="triggers")
    # SHA-256 of the token: the token itself is shown once.
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    # What the token begins with, by which people know it.
    prefix = models.CharField(max_length=16, editable=False)
    secret = models.TextField(editable=False, help_text="sealed")
    # A JSON value with expressions over `body` and `headers`; its value is the run's inputs.
    inputs = models.JSONField(default=dict, blank=True)
    # A number or an alias, looked up at each call; empty for the newest.
    version = models.CharField(max_length=63, blank=True)
    enabled = models.BooleanField(default=True)
    # Why the panel paused it, or what was wrong with the last call; for people.
    notice = models.CharField(max_length=500, blank=True)
    last_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    last_called_at = models.DateTimeField(null=True, blank=True)

    objects = TriggerQuerySet.as_manager()

    class Meta:
        db_table = "workflow_triggers"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("trigger-detail", args=[self.uid])

    @property
    def seal_place(self) -> str:
        """Return what its secret is bound to, so that it opens nowhere else."""
        return f"trigger:{self.uid}:secret"


class CallOutcome(models.TextChoices):
    """What became of a call whose signature was right."""

    STARTED = "started", "Started"
    REFUSED = "refused", "Could not start"


class TriggerCall(models.Model):
    """A call with a right signature. A call that started a run is taken once: its signature is unique."""

    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, related_name="calls")
    # The signature; NULL where nothing was started, so that the same call may be sent again.
    signature = models.CharField(max_length=64, null=True)
    outcome = models.CharField(max_length=8, choices=CallOutcome)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    detail = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workflow_trigger_calls"
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["trigger", "signature"], name="trigger_call_once"),
            models.CheckConstraint(condition=Q(outcome__in=CallOutcome.values), name="trigger_call_outcome_known"),
        ]
        # What is pruned: the oldest.
        indexes = [models.Index(fields=["at"], name="trigger_call_by_age")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"
