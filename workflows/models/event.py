"""Events: what happened in a run, numbered 1, 2, 3 … without gaps."""

from __future__ import annotations

from django.db import models

from workflows.models.run import Run


class Event(models.Model):
    """One committed transition, progress or marker of a run. Partitioned by range of run."""

    pk = models.CompositePrimaryKey("run_id", "number")
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="event_rows", db_constraint=False, db_index=False
    )
    number = models.IntegerField()
    at = models.DateTimeField()
    # `run.<state>`, `step.<state>`, `step.progress`, `step.note`, `log.marker`, `external`.
    kind = models.CharField(max_length=32)
    n = models.IntegerField(null=True)
    step = models.CharField(max_length=63, null=True)
    index = models.IntegerField(null=True)
    attempt = models.IntegerField(null=True)
    data = models.JSONField(null=True)

    class Meta:
        db_table = "workflow_events"

    def __str__(self) -> str:
        return f"run {self.run_id} event {self.number}: {self.kind}"
