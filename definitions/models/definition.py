"""Definitions: what a thing is called, of which kind, whose. What it does is in its versions."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.urls import reverse

from accounts.access import reachable
from accounts.models import User
from mcp_site.core.models import PublicId, Timestamped, Visibility


class DefinitionQuerySet(models.QuerySet["Definition"]):
    """Definitions, narrowed."""

    def visible_to(self, user: User | AnonymousUser) -> DefinitionQuerySet:
        """Keep what `user` may see."""
        return self.filter(reachable(user, "definition"))

    def active(self) -> DefinitionQuerySet:
        """Keep what is not archived."""
        return self.filter(archived_at=None)

    def for_api(self) -> DefinitionQuerySet:
        """Load what lists and details show: the owner, and the aliases with the numbers they stand for."""
        aliases = models.Prefetch("aliases", apps.get_model("definitions", "Alias").objects.with_numbers())
        return self.select_related("owner").prefetch_related(aliases)


def default_visibility() -> str:
    """Return what new definitions are, unless their author says otherwise."""
    return str(settings.DEFAULT_VISIBILITY)


class Definition(PublicId, Timestamped):
    """A prompt, notebook, script or query under one name for good."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=10_000)
    kind = models.CharField(max_length=32)
    tags = models.JSONField(default=list, blank=True, help_text="a list of short texts")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="definitions"
    )
    visibility = models.CharField(max_length=16, choices=Visibility.choices, default=default_visibility)

    latest_number = models.PositiveIntegerField(default=0, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = DefinitionQuerySet.as_manager()

    class Meta:
        db_table = "definitions_definitions"
        ordering = ("slug",)
        constraints = [
            models.CheckConstraint(condition=models.Q(visibility__in=Visibility.values), name="definition_visibility"),
        ]
        indexes = [
            # The list: one's own, newest first, without the archived.
            models.Index(fields=["owner", "-id"], condition=models.Q(archived_at=None), name="definition_by_owner"),
        ]

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("definition-detail", args=[self.slug])

    @property
    def is_archived(self) -> bool:
        """Tell whether it was put away: it can be looked at, not run or changed."""
        return self.archived_at is not None
