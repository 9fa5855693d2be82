"""Steps of runs: one row per step, and one per item of a mapped step."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from workflows.models.run import Run
from workflows.states import CONTROL_KEY, JoinRule, StepState


class StepRunQuerySet(models.QuerySet["StepRun"]):
    """Reads of steps."""

    def shown(self) -> StepRunQuerySet:
        """Leave out the engine's own step that computes the run's output."""
        return self.exclude(key=CONTROL_KEY)

    def for_api(self) -> StepRunQuerySet:
        """Load what lists show: not the values, but of which run a result is."""
        heavy = ("graph", "pins", "inputs", "output")
        return self.select_related("source__run").defer(
            "output", "item", "source__output", "source__item", *(f"source__run__{name}" for name in heavy)
        )

    def graph_steps(self) -> StepRunQuerySet:
        """Return the steps of the graph, without the items of mapped ones."""
        return self.shown().filter(index__isnull=True)


class StepRun(models.Model):
    """One step of one run, written by the engine alone. `n` is its position: the graph's steps first, then items."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="step_runs", db_index=False)
    n = models.IntegerField()
    key = models.CharField(max_length=63)
    index = models.IntegerField(null=True)
    kind = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=StepState)
    reason = models.CharField(max_length=64, null=True)
    queue = models.CharField(max_length=63)
    # An attempt normally ends within milliseconds: a worker may claim many of them at once.
    short = models.BooleanField(db_default=False)
    priority = models.PositiveSmallIntegerField(db_default=5)
    limit_id = models.IntegerField(db_default=0)
    join_rule = models.CharField(max_length=16, choices=JoinRule, db_default=JoinRule.ALL_SUCCEEDED)
    # The join's counters: how many parents (a map's: items) there are, and how they ended.
    need = models.IntegerField(db_default=0)
    ok = models.IntegerField(db_default=0)
    bad = models.IntegerField(db_default=0)
    skip = models.IntegerField(db_default=0)
    succ = ArrayField(models.IntegerField(), db_default=[])
    deps = ArrayField(models.IntegerField(), db_default=[])
    # Positions of the steps that the expressions read.
    reads = ArrayField(models.IntegerField(), db_default=[])
    sink = models.BooleanField()
    on_lost = models.CharField(max_length=8, db_default="fail")
    attempt = models.IntegerField(db_default=0)
    losses = models.IntegerField(db_default=0)
    first_item = models.IntegerField(null=True)
    released = models.IntegerField(null=True)
    worker = models.CharField(max_length=120, null=True)
    lease_until = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    item = models.JSONField(null=True)
    output = models.JSONField(null=True)
    # Where an output lies that is not here: the SHA-256 of one over 64 KiB in the artifact store; `items`: in the rows
    # of the items; `step:<id>`: with the step of an earlier run; `run:<number>`: with a child run.
    output_ref = models.CharField(max_length=64, null=True)
    error = models.JSONField(null=True)
    # The step's clocks in seconds: how long it may be ready, and how long all of it may take from then on.
    queue_timeout = models.FloatField(null=True)
    total_timeout = models.FloatField(null=True)
    deadline_at = models.DateTimeField(null=True)
    # Of a mapped step: how many items may end badly, and whether one more ends the others at once.
    allowed = models.IntegerField(db_default=0)
    fail_fast = models.BooleanField(db_default=False)
    # The step of an earlier run whose result this one has (its `output_ref` says so too). No constraint and no index:
    # both would cost something at each update, and that run is found by `rerun_of`, which has both.
    source = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )

    objects = StepRunQuerySet.as_manager()

    class Meta:
        db_table = "workflow_step_executions"
        ordering = ("run_id", "n")
        constraints = [
            models.UniqueConstraint(fields=["run", "n"], name="step_position"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="step_state_known"),
            models.CheckConstraint(condition=Q(need__gte=F("ok") + F("bad") + F("skip")), name="step_join_counted"),
            models.CheckConstraint(
                condition=Q(state="running", lease_until__isnull=False, worker__isnull=False)
                | (~Q(state="running") & Q(lease_until__isnull=True, worker__isnull=True)),
                name="step_lease_while_running",
            ),
            models.CheckConstraint(condition=~Q(state="ready") | Q(ready_at__isnull=False), name="step_ready_since"),
            models.CheckConstraint(condition=~Q(state="retrying") | Q(wake_at__isnull=False), name="step_wakes"),
        ]
        indexes = [
            # wf_claim: the best ready step of a queue under a limit.
            models.Index(
                F("queue"),
                F("limit_id"),
                F("priority").desc(),
                F("ready_at"),
                name="step_ready",
                condition=Q(state="ready"),
            ),
            # wf_sweep: leases that lapsed.
            models.Index(fields=["lease_until"], name="step_lease", condition=Q(state="running")),
            # wf_sweep: retries and timers that are due.
            # wf_sweep: clocks that run. One index for both, since each costs something at each update of a step.
            models.Index(
                fields=["run"],
                name="step_clocks",
                condition=Q(queue_timeout__isnull=False, state="ready")
                | Q(deadline_at__isnull=False, state__in=["ready", "running", "waiting", "retrying"]),
            ),
            models.Index(fields=["wake_at"], name="step_wake", condition=Q(state__in=["retrying", "waiting"])),
        ]

    def __str__(self) -> str:
        return self.key if self.index is None else f"{self.key}[{self.index}]"
