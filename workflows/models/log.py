"""Log chunks: what attempts wrote, in pieces of whole lines."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from workflows.models.run import Run


class LogChunk(models.Model):
    """Some lines of one attempt. Partitioned by range of run; `number` counts the chunks of one attempt."""

    pk = models.CompositePrimaryKey("run_id", "n", "attempt", "number")
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="log_chunks", db_constraint=False, db_index=False
    )
    n = models.IntegerField()
    attempt = models.IntegerField()
    number = models.IntegerField()
    at = models.DateTimeField(db_default=Now())
    step = models.CharField(max_length=63)
    index = models.IntegerField(null=True)
    # `stdout`, `stderr`, `system` (the panel's own notices) or `token` (a piece of a model's answer).
    stream = models.CharField(max_length=8)
    text = models.TextField()

    class Meta:
        db_table = "workflow_logs"

    def __str__(self) -> str:
        return f"run {self.run_id} step {self.n} log {self.number}"
