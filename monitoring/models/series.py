"""Metrics as rows: series, their samples, and what samples are rolled up to."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts import access
from accounts.models import User
from definitions.models import Definition
from workflows.models import Workflow


class SeriesQuerySet(models.QuerySet["Series"]):
    """Reads of series."""

    def visible_to(self, user: User | AnonymousUser) -> SeriesQuerySet:
        """Return those about nothing in particular, and those about workflows and definitions that `user` may see."""
        if not access.can(user, "metric.view"):
            return self.none()
        workflows = Workflow.objects.visible_to(user).values("pk")
        definitions = Definition.objects.visible_to(user).values("pk")
        return self.filter(
            Q(workflow=None) | Q(workflow__in=workflows), Q(definition=None) | Q(definition__in=definitions)
        )

    def tagged(self, tags: dict[str, str]) -> SeriesQuerySet:
        """Return those that carry all of `tags`."""
        return self.filter(tags__contains=tags) if tags else self


class Series(models.Model):
    """Everything measured under one name with the same tags."""

    name = models.CharField(max_length=200)
    tags = models.JSONField(default=dict)
    # SHA-256 over name and tags: what makes a series the same series.
    digest = models.CharField(max_length=64, unique=True)
    # What a series of the panel's own is about: who may not see that may not see its numbers.
    workflow = models.ForeignKey(Workflow, null=True, on_delete=models.CASCADE, related_name="series")
    definition = models.ForeignKey(Definition, null=True, on_delete=models.CASCADE, related_name="series")
    created_at = models.DateTimeField(db_default=Now())
    # The newest sample that has been rolled up.
    last_at = models.DateTimeField(null=True)

    objects = SeriesQuerySet.as_manager()

    class Meta:
        db_table = "monitoring_series"
        ordering = ("name", "id")
        verbose_name_plural = "series"
        indexes = [
            # The series of a name, and the list of names.
            models.Index(fields=["name", "id"], name="series_by_name"),
            # `?tag.x=`: containment.
            GinIndex(fields=["tags"], name="series_by_tags", opclasses=["jsonb_path_ops"]),
        ]

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in sorted(self.tags.items()))
        return f"{self.name}{{{shown}}}" if shown else self.name


class Due(models.Model):
    """A span of one series whose roll-up of `width` seconds has to be computed anew. Added, never changed."""

    width = models.IntegerField()
    series_id = models.BigIntegerField()
    lower = models.DateTimeField()
    upper = models.DateTimeField()

    class Meta:
        db_table = "monitoring_due"
        # The oldest of a width first.
        indexes = [models.Index(fields=["width", "id"], name="due_by_width")]

    def __str__(self) -> str:
        return f"series {self.series_id} {self.width} s from {self.lower}"


class Sample(models.Model):
    """One measured value. Partitioned by month; written by COPY, so without constraints beside the index."""

    pk = models.CompositePrimaryKey("series_id", "at", "value")
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, related_name="samples", db_constraint=False, db_index=False
    )
    at = models.DateTimeField()
    value = models.FloatField()
    extra = models.JSONField(null=True)

    class Meta:
        db_table = "monitoring_samples"

    def __str__(self) -> str:
        return f"{self.value} at {self.at}"


class Rollup(models.Model):
    """What the samples of one series in `width` seconds (60, 3600, 86400) from `at` on came to."""

    pk = models.CompositePrimaryKey("width", "series_id", "at")
    width = models.IntegerField()
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, related_name="rollups", db_constraint=False, db_index=False
    )
    at = models.DateTimeField()
    count = models.BigIntegerField()
    total = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    p50 = models.FloatField()
    p95 = models.FloatField()
    p99 = models.FloatField()
    classes = models.BinaryField()

    class Meta:
        db_table = "monitoring_rollups"

    def __str__(self) -> str:
        return f"{self.width} s from {self.at}"
