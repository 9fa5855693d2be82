"""What people asked of a connection before: for themselves, to ask again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from connections.models.connection import Connection


class PastQuery(models.Model):
    """One query that a person ran by hand: its text with secrets masked, and what came of it; no rows, no values."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="past_queries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="past_queries")
    sql = models.TextField()
    ran_at = models.DateTimeField(db_default=Now())
    ms = models.FloatField(help_text="milliseconds that it took")
    row_count = models.PositiveIntegerField(null=True, help_text="empty where it failed")
    truncated = models.BooleanField(default=False)
    error = models.CharField(max_length=2000, blank=True)

    class Meta:
        db_table = "connections_past_queries"
        ordering = ("-id",)
        verbose_name_plural = "past queries"
        indexes = [models.Index(fields=["user", "connection", "-id"], name="past_queries_of_a_person")]

    def __str__(self) -> str:
        return self.sql[:80]
