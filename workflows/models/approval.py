"""Approvals: what a waiting step asks of people, and what they decided."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import User
from workflows.models.run import Run
from workflows.models.step_run import StepRun
from workflows.states import StepState


class ApprovalState(models.TextChoices):
    """How an approval stands: read off its step, never stored beside it."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CLOSED = "closed"


STATE_OF_STEP = {
    StepState.WAITING: ApprovalState.OPEN,
    StepState.SUCCEEDED: ApprovalState.APPROVED,
    StepState.FAILED: ApprovalState.REJECTED,
    StepState.TIMED_OUT: ApprovalState.EXPIRED,
    StepState.CANCELLED: ApprovalState.CLOSED,
}


class ApprovalQuerySet(models.QuerySet["Approval"]):
    """Reads of approvals."""

    def visible_to(self, user: User | AnonymousUser) -> ApprovalQuerySet:
        """Return those of runs that `user` may see, and those in which `user` is named."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        named = Approval.users.through.objects.filter(user_id=user.pk).values("approval_id")
        return self.filter(Q(run__in=Run.objects.visible_to(user).values("pk")) | Q(pk__in=named))

    def in_state(self, state: str) -> ApprovalQuerySet:
        """Return those that stand so."""
        return self.filter(step__state__in=[step for step, is_so in STATE_OF_STEP.items() if is_so == state])

    def for_api(self) -> ApprovalQuerySet:
        """Load what lists and details show."""
        found = self.select_related("step", "run__workflow", "run__definition", "run__started_by")
        found = found.defer("run__graph", "run__pins", "run__inputs", "run__output", "step__output", "step__item")
        return found.prefetch_related("users", "decisions__by")


class Approval(models.Model):
    """One question to people, asked by one step of one run. Whether it is open is the state of its step."""

    step = models.OneToOneField(StepRun, primary_key=True, on_delete=models.CASCADE, related_name="approval")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="approvals")
    message = models.TextField(blank=True)
    roles = models.JSONField(default=list)
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", db_table="workflow_approval_users")
    required = models.PositiveSmallIntegerField(default=1)
    allow_self = models.BooleanField(default=False)
    form = models.JSONField(null=True)
    on_timeout = models.CharField(max_length=8)
    asked_at = models.DateTimeField(db_default=Now())
    # Seconds between reminders, and when the next one is due.
    remind_every = models.FloatField(null=True)
    remind_at = models.DateTimeField(null=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        db_table = "workflow_approvals"
        ordering = ("-step_id",)
        indexes = [
            models.Index(fields=["remind_at"], name="approval_reminders", condition=Q(remind_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.run_id}: step {self.step_id}"

    @property
    def state(self) -> ApprovalState:
        """Return how it stands. Needs `step` loaded."""
        return STATE_OF_STEP.get(StepState(self.step.state), ApprovalState.CLOSED)


class Verdict(models.TextChoices):
    """What somebody decided."""

    APPROVE = "approve"
    REJECT = "reject"


class Decision(models.Model):
    """What one person decided, once and for all."""

    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="decisions")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict)
    comment = models.CharField(max_length=2000, blank=True)
    form = models.JSONField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workflow_decisions"
        ordering = ("id",)
        constraints = [models.UniqueConstraint(fields=["approval", "by"], name="decision_once")]

    def __str__(self) -> str:
        return f"{self.approval}: {self.verdict}"
