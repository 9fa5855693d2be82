"""Concurrency limits and their slots. Row 0 of the limits means: no limit."""

from __future__ import annotations

from django.db import models


class Limit(models.Model):
    """How many attempts with this key may run at once; `size` null means any number."""

    id = models.IntegerField(primary_key=True)
    key = models.CharField(max_length=200, unique=True)
    size = models.IntegerField(null=True)

    class Meta:
        db_table = "workflow_limits"

    def __str__(self) -> str:
        return self.key or "no limit"


class Slot(models.Model):
    """One attempt's place under a limit; it lives exactly as long as the attempt's lease."""

    pk = models.CompositePrimaryKey("limit_id", "step_id", "attempt")
    limit = models.ForeignKey(Limit, on_delete=models.CASCADE, related_name="slots", db_index=False)
    step_id = models.BigIntegerField()
    attempt = models.IntegerField()

    class Meta:
        db_table = "workflow_slots"
        indexes = [models.Index(fields=["step_id"], name="slot_by_step")]

    def __str__(self) -> str:
        return f"limit {self.limit_id}: step {self.step_id}"
