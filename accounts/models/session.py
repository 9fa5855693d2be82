"""Sign-ins: one row per login, which lives until it is ended or its time is over."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from mcp_site.core import clock
from mcp_site.core.models import PublicId


class SessionKind(models.TextChoices):
    """How a sign-in is carried: by a cookie of the pages, or by tokens of the API."""

    PAGE = "page", "Pages"
    TOKEN = "token", "API tokens"


class SessionQuerySet(models.QuerySet["Session"]):
    """Sign-ins as querysets."""

    def live(self) -> SessionQuerySet:
        """Those that can still be used."""
        return self.filter(ended_at__isnull=True, expires_at__gt=clock.now())


class Session(PublicId):
    """One sign-in. Its public id is the `sid` of its tokens; a token whose sign-in has ended is nothing."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sessions")
    kind = models.CharField(max_length=8, choices=SessionKind)
    # The id of the only refresh token that may be used: another one of this sign-in was used before.
    refresh_id = models.CharField(max_length=64, blank=True)
    # The key of Django's own row for a cookie; ending the sign-in removes that row.
    cookie_key = models.CharField(max_length=40, blank=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=32, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        db_table = "accounts_sessions"
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=SessionKind.values), name="session_kind_known"),
        ]
        indexes = [
            # What to end when a password changes, and what to list on the account page.
            models.Index(fields=["user", "-id"], name="session_live", condition=models.Q(ended_at__isnull=True)),
            # What to forget long after its end.
            models.Index(fields=["expires_at"], name="session_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.uid}"

    def is_live(self) -> bool:
        """Tell whether it can be used now."""
        return self.ended_at is None and self.expires_at > clock.now()
