"""Where alerts are sent: channels, what was sent to them, and the inboxes of people."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts import access
from accounts.models import User
from mcp_site.core.models import PublicId, Timestamped
from monitoring import channels
from monitoring.models.alert import Alert
from monitoring.states import DeliveryState, Happening


class ChannelQuerySet(models.QuerySet["Channel"]):
    """Reads of channels."""

    def visible_to(self, user: User | AnonymousUser) -> ChannelQuerySet:
        """Return all to those who may edit channels, else none: they hold addresses."""
        return self.all() if access.can(user, "channel.edit") else self.none()


class Channel(PublicId, Timestamped):
    """One way to reach people: its type, its plain settings, its sealed secrets."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=32)
    config = models.JSONField(default=dict, help_text="settings that are no secret")
    secrets = models.JSONField(default=dict, help_text="field → sealed text", editable=False)
    enabled = models.BooleanField(default=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="channels")

    objects = ChannelQuerySet.as_manager()

    class Meta:
        db_table = "monitoring_channels"
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name

    def seal_place(self, field: str) -> str:
        """Return what a secret of this row is bound to, so that it opens nowhere else."""
        return f"channel:{self.uid}:{field}"

    @property
    def shown_config(self) -> dict[str, Any]:
        """Return the config as people may see it: in place of each secret only whether it is set."""
        try:
            names = channels.get(self.type).Config.secret_fields()
        except LookupError:
            # A plug-in that is not installed any more.
            names = frozenset()
        return {**self.config, **{name: {"set": name in self.secrets} for name in sorted(names | self.secrets.keys())}}


class Delivery(PublicId):
    """One message to one channel, sent until it arrives or it is clear that it never will."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    alert = models.ForeignKey(Alert, null=True, on_delete=models.CASCADE, related_name="deliveries")
    happening = models.CharField(max_length=16, choices=Happening)
    message = models.JSONField()
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    # When to try next; while one tries, when another may.
    next_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "monitoring_deliveries"
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        indexes = [
            # What is due.
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state=DeliveryState.PENDING)),
            # The log of a channel; and what has to arrive before.
            models.Index(fields=["channel", "-id"], name="delivery_by_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.happening} to {self.channel}"


class Notification(PublicId):
    """One line in one person's inbox."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    alert = models.ForeignKey(Alert, null=True, on_delete=models.CASCADE, related_name="notifications")
    happening = models.CharField(max_length=16, choices=Happening)
    severity = models.CharField(max_length=16)
    title = models.CharField(max_length=300)
    text = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    read_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "monitoring_notifications"
        ordering = ("-id",)
        indexes = [
            models.Index(fields=["person", "-id"], name="notification_by_person"),
            # How many are unread: on every page.
            models.Index(fields=["person"], name="notification_unread", condition=Q(read_at=None)),
        ]

    def __str__(self) -> str:
        return self.title
