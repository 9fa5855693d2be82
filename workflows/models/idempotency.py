"""Answers kept for a day, so that a POST sent again does nothing twice."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class KeptAnswer(models.Model):
    """What one caller was answered on one route under one Idempotency-Key."""

    caller = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Method and path below /api/v1.
    route = models.CharField(max_length=500)
    key = models.CharField(max_length=200)
    # SHA-256 of the body, to tell another request under the same key.
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    # JSON text, byte for byte; NULL where it held a secret.
    body = models.TextField(null=True)
    location = models.CharField(max_length=500, blank=True)
    # The id of what was made, or its slug.
    made = models.CharField(max_length=100, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workflow_kept_answers"
        constraints = [models.UniqueConstraint(fields=["caller", "route", "key"], name="kept_answer_once")]
        # What is pruned: the oldest.
        indexes = [models.Index(fields=["at"], name="kept_answer_by_age")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
