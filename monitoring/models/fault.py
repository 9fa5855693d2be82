"""What went wrong, grouped: one row for each sort of fault, however often it happens."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse

from accounts import access
from accounts.models import User
from definitions.models import Definition
from workflows.models import Run


class FaultSource(models.TextChoices):
    """Where it happened: in the panel itself, or in what a run carried out."""

    PANEL = "panel", "The panel"
    RUN = "run", "A run"


class FaultQuerySet(models.QuerySet["Fault"]):
    """Reads of faults."""

    def visible_to(self, user: User | AnonymousUser) -> FaultQuerySet:
        """Return the panel's own, and those of definitions that `user` may see."""
        if not access.can(user, "metric.view"):
            return self.none()
        seen = Definition.objects.visible_to(user).values("pk")
        return self.filter(Q(definition=None) | Q(definition__in=seen))


class Fault(models.Model):
    """One sort of fault: the same class at the same place, or with the same words from the same definition."""

    fingerprint = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=8, choices=FaultSource)
    # The exception's class, or the class of a step's failure.
    title = models.CharField(max_length=200)
    # What was said. Of the panel's own exceptions only what the log says: theirs may quote what they were given.
    message = models.CharField(max_length=500, blank=True)
    # Innermost last: `file:line function`, without values.
    trace = models.JSONField(default=list)
    definition = models.ForeignKey(Definition, null=True, on_delete=models.CASCADE, related_name="faults")
    count = models.BigIntegerField(default=0)
    # How many attempts of runs it ended, and the newest of those runs.
    runs = models.BigIntegerField(default=0)
    last_run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    objects = FaultQuerySet.as_manager()

    class Meta:
        db_table = "monitoring_faults"
        ordering = ("-last_seen",)
        indexes = [models.Index(fields=["-last_seen", "-id"], name="fault_by_time")]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("fault-detail", args=[self.fingerprint])
