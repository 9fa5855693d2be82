"""What has been counted for good: totals for scrapers, and which runs are in them."""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    """One total that only grows: a Prometheus name and its labels. All processes share it."""

    name = models.CharField(max_length=100)
    labels = models.JSONField(default=dict)
    value = models.FloatField(default=0)

    class Meta:
        db_table = "monitoring_counters"
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="counter_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"


class MeasuredRun(models.Model):
    """A run whose end has been measured. Kept for a day: a run that commits late is not measured twice."""

    run_id = models.BigIntegerField(primary_key=True)
    finished_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "monitoring_measured_runs"

    def __str__(self) -> str:
        return f"run {self.run_id}"
