"""Who did what to which thing: rows that are only ever added."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class AuditEvent(models.Model):
    """One act. A database trigger refuses to change or remove it."""

    id = models.BigAutoField("number", primary_key=True)
    at = models.DateTimeField(db_default=Now())
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    actor_kind = models.CharField(max_length=16, default="user")
    # What the API key begins with, where one acted for the actor.
    key = models.CharField(max_length=16, blank=True, db_default="")
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        db_table = "accounts_audit_events"
        ordering = ("-id",)
        indexes = [
            # What happened to this thing: the activity list on its page.
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_by_object"),
            # What this person did.
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_name or self.object_id}".strip()
