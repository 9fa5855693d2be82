"""Mail to send: an invitation or a password reset, until it is out."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mcp_site.core.clock import now


class Letter(models.Model):
    """One letter to one person. It holds no token: that is made when it is sent, so that no row can let anybody in."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="letters")
    purpose = models.CharField(max_length=16)
    # The address under which the panel is open to the one who caused it: where the link goes.
    base_url = models.CharField(max_length=300)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(default=now)
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "accounts_letters"
        ordering = ("-id",)
        indexes = [
            # What has to be sent now: the tick asks it every two seconds.
            models.Index(fields=["due_at"], name="letter_due", condition=models.Q(sent_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} to {self.user_id}"
