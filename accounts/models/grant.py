"""Shares: what one person or team may do with one thing beside its owner."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from mcp_site.core.models import PublicId, Timestamped


class Permission(models.TextChoices):
    """How far a share reaches; each includes the one before."""

    VIEW = "view", "View"
    RUN = "run", "Run"
    EDIT = "edit", "Edit"


class Grant(PublicId, Timestamped):
    """One share of one thing with a user or a team. Things are never removed, only archived, so it never dangles."""

    # The model's name (`workflow`) and the row's key.
    object_type = models.CharField(max_length=32)
    object_id = models.BigIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="grants")
    team = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="grants")
    permission = models.CharField(max_length=8, choices=Permission)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        db_table = "accounts_grants"
        ordering = ("id",)
        constraints = [
            models.CheckConstraint(condition=Q(permission__in=Permission.values), name="grant_permission_known"),
            models.CheckConstraint(
                condition=Q(user__isnull=False, team__isnull=True) | Q(user__isnull=True, team__isnull=False),
                name="grant_to_one_user_or_team",
            ),
            # One share for each: these are also the indexes by which a thing's shares are listed and a right is asked.
            models.UniqueConstraint(fields=["object_type", "object_id", "user"], name="grant_once_per_user"),
            models.UniqueConstraint(fields=["object_type", "object_id", "team"], name="grant_once_per_team"),
        ]
        indexes = [
            # What is shared with me: every list asks it.
            models.Index(fields=["user", "object_type"], name="grant_by_user", condition=Q(user__isnull=False)),
            models.Index(fields=["team", "object_type"], name="grant_by_team", condition=Q(team__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}: {self.permission}"
