"""Rules over series, how each series stands under them, and alerts."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from accounts import access
from accounts.models import User
from mcp_site.core.models import PublicId, Timestamped
from monitoring.models.series import Series
from monitoring.rules import Terms
from monitoring.states import AlertState, Comparison, NoData, Severity


class AlertRule(PublicId, Timestamped):
    """What must not happen: a metric that compares so with a threshold, over a window, for some time."""

    name = models.CharField(max_length=200)
    metric = models.CharField(max_length=200)
    tags = models.JSONField(default=dict)
    aggregate = models.CharField(max_length=8)
    comparison = models.CharField(max_length=2, choices=Comparison)
    threshold = models.FloatField()
    warn_threshold = models.FloatField(null=True)
    recover_threshold = models.FloatField(null=True)
    # Seconds, all three.
    window = models.PositiveIntegerField()
    hold = models.PositiveIntegerField(default=0)
    renotify = models.PositiveIntegerField(null=True)
    no_data = models.CharField(max_length=8, choices=NoData, default=NoData.KEEP)
    channels = models.ManyToManyField("monitoring.Channel", related_name="rules")
    enabled = models.BooleanField(default=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="rules")

    class Meta:
        db_table = "monitoring_alert_rules"
        ordering = ("name", "id")
        indexes = [models.Index(fields=["metric"], name="rule_by_metric")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("rule-detail", args=[self.uid])

    @property
    def terms(self) -> Terms:
        """Return what the rule says, as its decider reads it."""
        return Terms(
            aggregate=self.aggregate,
            comparison=self.comparison,
            threshold=self.threshold,
            warn_threshold=self.warn_threshold,
            recover_threshold=self.recover_threshold,
            window=self.window,
            hold=self.hold,
            no_data=self.no_data,
            renotify=self.renotify,
        )


class RuleStanding(models.Model):
    """Since when a series has been bad under a rule, while it is."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="standings")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="standings")
    warn_since = models.DateTimeField(null=True)
    alert_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "monitoring_rule_standings"
        constraints = [models.UniqueConstraint(fields=["rule", "series"], name="standing_once")]

    def __str__(self) -> str:
        return f"{self.rule}: {self.series}"


class AlertQuerySet(models.QuerySet["Alert"]):
    """Reads of alerts."""

    def visible_to(self, user: User | AnonymousUser) -> AlertQuerySet:
        """Return those that people or programs raised, and those over series that `user` may see."""
        if not access.can(user, "alert.view"):
            return self.none()
        return self.filter(Q(series=None) | Q(series__in=Series.objects.visible_to(user).values("pk")))

    def unresolved(self) -> AlertQuerySet:
        """Return those that are not over."""
        return self.filter(resolved_at=None)

    def for_api(self) -> AlertQuerySet:
        """Load what lists and details show."""
        return self.select_related("rule", "series", "acknowledged_by", "resolved_by", "opened_by")


class Alert(PublicId):
    """Something that people should know, once: while it is not resolved there is no other of its fingerprint."""

    rule = models.ForeignKey(AlertRule, null=True, on_delete=models.SET_NULL, related_name="alerts")
    series = models.ForeignKey(Series, null=True, on_delete=models.CASCADE, related_name="alerts")
    # SHA-256 over what it is about: rule and series, or the title of one that was raised by hand.
    fingerprint = models.CharField(max_length=64)
    title = models.CharField(max_length=300)
    severity = models.CharField(max_length=16, choices=Severity)
    state = models.CharField(max_length=16, choices=AlertState, default=AlertState.OPEN)
    value = models.FloatField(null=True)
    threshold = models.FloatField(null=True)
    comparison = models.CharField(max_length=2, blank=True)
    tags = models.JSONField(default=dict)
    details = models.JSONField(default=dict)
    # The minutes that opened it: [[moment, value], …].
    samples = models.JSONField(default=list)
    opened_at = models.DateTimeField(db_default=Now())
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    notified_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = AlertQuerySet.as_manager()

    class Meta:
        db_table = "monitoring_alerts"
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], name="alert_open_once", condition=Q(resolved_at=None)),
            models.CheckConstraint(condition=Q(state__in=AlertState.values), name="alert_state_known"),
            models.CheckConstraint(
                condition=Q(state=AlertState.RESOLVED, resolved_at__isnull=False)
                | (~Q(state=AlertState.RESOLVED) & Q(resolved_at=None)),
                name="alert_end_has_a_time",
            ),
        ]
        indexes = [
            # What is open under a rule: at each look of the clock.
            models.Index(fields=["rule"], name="alert_unresolved", condition=Q(resolved_at=None)),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("alert-detail", args=[self.uid])
