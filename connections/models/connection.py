"""Connections: how to reach an outside system, with the secret part sealed."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery

from accounts.access import reachable
from accounts.models import User
from connections import connectors
from mcp_site.core.models import PublicId, Timestamped, Visibility


class ConnectionQuerySet(QuerySet["Connection"]):
    """Connections, narrowed."""

    def visible_to(self, user: User | AnonymousUser) -> ConnectionQuerySet:
        """Keep what `user` may see."""
        return self.filter(reachable(user, "connection"))

    def active(self) -> ConnectionQuerySet:
        """Keep what is not archived."""
        return self.filter(archived_at=None)

    def for_api(self) -> ConnectionQuerySet:
        """Load what an answer shows: the owner, and number and size of the newest snapshot."""
        snapshots = apps.get_model("connections", "SchemaSnapshot").objects
        newest = snapshots.filter(connection=OuterRef("pk")).order_by("-number")
        return self.select_related("owner").annotate(
            last_snapshot=Subquery(newest.values("number")[:1]),
            last_tables_count=Subquery(newest.values("tables_count")[:1]),
        )


class Connection(PublicId, Timestamped):
    """How to reach one outside system: its type, its plain settings, its sealed secrets."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=10_000)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="connections"
    )
    visibility = models.CharField(max_length=16, choices=Visibility.choices, default=Visibility.PRIVATE)

    type = models.CharField(max_length=32)
    config = models.JSONField(default=dict, help_text="settings that are no secret")
    secrets = models.JSONField(default=dict, help_text="field → sealed text", editable=False)
    references = models.JSONField(default=dict, blank=True, help_text="field → env:NAME or file:/path")
    revision = models.PositiveIntegerField(default=1, help_text="raised by every change of config or secret")

    last_test = models.JSONField(null=True, blank=True)
    last_test_at = models.DateTimeField(null=True, blank=True)
    scan_every = models.PositiveSmallIntegerField(default=0, help_text="hours between scans by the clock; 0: none")
    scan_due_at = models.DateTimeField(null=True, blank=True, help_text="when the clock scans next")
    scan_error = models.CharField(max_length=2000, blank=True, help_text="why the clock's newest scan failed")
    last_scan_at = models.DateTimeField(null=True, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="of the newest snapshot")
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        db_table = "connections_connections"
        ordering = ("slug",)
        constraints = [
            models.CheckConstraint(condition=models.Q(visibility__in=Visibility.values), name="connection_visibility"),
        ]
        indexes = [
            # The list: one's own, newest first, without the archived.
            models.Index(fields=["owner", "-id"], condition=models.Q(archived_at=None), name="connection_by_owner"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_archived(self) -> bool:
        """Tell whether it was put away: it can be looked at, not used."""
        return self.archived_at is not None

    @property
    def shown_config(self) -> dict[str, Any]:
        """Return the config as people may see it: in place of each secret only whether it is set."""
        try:
            names = connectors.get(self.type).Config.secret_fields()
        except LookupError:
            # A plug-in that is not installed any more.
            names = frozenset()
        shown: dict[str, Any] = {name: {"set": name in self.secrets} for name in sorted(names | self.secrets.keys())}
        elsewhere = {name: {"set": True, "from": where} for name, where in self.references.items()}
        return {**self.config, **shown, **elsewhere}

    def seal_place(self, field: str) -> str:
        """Return what a secret of this row is bound to, so that it opens nowhere else."""
        return f"connection:{self.uid}:{field}"
