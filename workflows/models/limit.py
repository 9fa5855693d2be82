"""Limits and their slots: on attempts (row 0 means: no limit), and on the runs of a workflow."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from workflows.models.run import Run


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


class RunLimit(models.Model):
    """How many runs of a workflow may go on at once for one value of its key; the newest start says how many."""

    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE, related_name="run_limits")
    key = models.CharField(max_length=200)
    size = models.PositiveIntegerField()

    class Meta:
        db_table = "workflow_run_limits"
        constraints = [models.UniqueConstraint(fields=["workflow", "key"], name="run_limit_key")]

    def __str__(self) -> str:
        return f"{self.workflow}: {self.key}" if self.key else str(self.workflow)


class SlotPolicy(models.TextChoices):
    """What a run does that finds no free slot: wait, be refused, or cancel those that hold one."""

    QUEUE = "queue"
    REJECT = "reject"
    CANCEL_RUNNING = "cancel_running"


class RunSlot(models.Model):
    """A run's place under a limit, from its start to its end: held since `taken_at`, waited for while that is null.

    The statement that ends the run deletes the row, so nothing can hold a slot and not be going on.
    """

    run = models.OneToOneField(Run, primary_key=True, on_delete=models.CASCADE, related_name="slot")
    limit = models.ForeignKey(RunLimit, on_delete=models.CASCADE, related_name="slots", db_index=False)
    policy = models.CharField(max_length=16, choices=SlotPolicy)
    asked_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "workflow_run_slots"
        indexes = [models.Index(fields=["limit", "run"], name="run_slot_by_limit")]

    def __str__(self) -> str:
        return f"{self.limit}: run {self.run_id}"
