"""Attempts: one row per try at a step, added and closed, never changed afterwards."""

from __future__ import annotations

from django.db import models

from workflows.models.run import Run


class Attempt(models.Model):
    """One try. The table is partitioned by range of run, so no foreign key points at or from it."""

    pk = models.CompositePrimaryKey("run_id", "n", "number")
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="attempts", db_constraint=False, db_index=False
    )
    n = models.IntegerField()
    number = models.IntegerField()
    worker = models.CharField(max_length=120)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    # The state that the step went to: succeeded, failed, retrying, ready (handed back or lost), …
    outcome = models.CharField(max_length=16, null=True)
    reason = models.CharField(max_length=64, null=True)
    error = models.JSONField(null=True)
    # Tokens, cost, memory, CPU, exit code, isolation, and the connections used with their revisions.
    usage = models.JSONField(null=True)

    class Meta:
        db_table = "workflow_attempts"

    def __str__(self) -> str:
        return f"run {self.run_id} step {self.n} attempt {self.number}"
