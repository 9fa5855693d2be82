"""Workflows and their immutable, numbered versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse

from accounts.access import reachable
from accounts.models import User
from mcp_site.core.ids import Reference
from mcp_site.core.models import PublicId, Timestamped, Visibility


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    """Reads of workflows."""

    def visible_to(self, user: User | AnonymousUser) -> WorkflowQuerySet:
        """Return those that `user` may see."""
        return self.filter(reachable(user, "workflow"))

    def active(self) -> WorkflowQuerySet:
        """Return those that are not archived."""
        return self.filter(archived_at__isnull=True)

    def for_api(self) -> WorkflowQuerySet:
        """Load what lists and details show."""
        return self.select_related("owner").prefetch_related("aliases__version")


def default_visibility() -> str:
    """Return what new workflows are, unless their author says otherwise."""
    return str(settings.DEFAULT_VISIBILITY)


class Workflow(PublicId, Timestamped):
    """A named graph. What it does is in its versions."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="workflows")
    visibility = models.CharField(max_length=16, choices=Visibility, default=default_visibility)
    latest_number = models.PositiveIntegerField(default=0)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        db_table = "workflow_definitions"
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        """Return the page."""
        return reverse("workflow-detail", args=[self.slug])


class WorkflowVersionQuerySet(models.QuerySet["WorkflowVersion"]):
    """Reads of versions."""

    def resolve(self, references: Iterable[Reference]) -> dict[Reference, WorkflowVersion]:
        """Return what each reference now names; unknown and archived ones are absent. One query."""
        wanted = list(references)
        if not wanted:
            return {}
        condition = Q(pk__in=[])
        for reference in wanted:
            named = Q(workflow__slug=reference.slug)
            if reference.number is not None:
                condition |= named & Q(number=reference.number)
            elif reference.alias is not None:
                condition |= named & Q(aliases__name=reference.alias)
            else:
                condition |= named & Q(number=models.F("workflow__latest_number"))
        found = self.filter(condition, workflow__archived_at__isnull=True).select_related("workflow").distinct()
        versions = list(found.prefetch_related("aliases"))
        answer = {}
        for reference in wanted:
            for version in versions:
                if version.workflow.slug == reference.slug and version.is_meant_by(reference):
                    answer[reference] = version
        return answer


class WorkflowVersion(PublicId):
    """One immutable state of a workflow: its graph document, exactly as it was saved."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    graph = models.JSONField()
    digest = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WorkflowVersionQuerySet.as_manager()

    class Meta:
        db_table = "workflow_versions"
        ordering = ("-number",)
        constraints = [models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_number")]

    def __str__(self) -> str:
        return f"{self.workflow.slug}@{self.number}"

    def is_meant_by(self, reference: Reference) -> bool:
        """Tell whether `reference` (of the same workflow) names this version. Reads the aliases."""
        if reference.number is not None:
            return self.number == reference.number
        if reference.alias is not None:
            return any(alias.name == reference.alias for alias in self.aliases.all())
        return self.number == self.workflow.latest_number

    @property
    def input_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema of the run's inputs, if the graph declares one."""
        schema = self.graph.get("inputs")
        return schema if isinstance(schema, dict) else None


class WorkflowAlias(models.Model):
    """A name such as `production` for one version; it can be moved."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=63)
    version = models.ForeignKey(WorkflowVersion, on_delete=models.CASCADE, related_name="aliases")
    moved_at = models.DateTimeField(auto_now=True)
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        db_table = "workflow_aliases"
        verbose_name_plural = "workflow aliases"
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["workflow", "name"], name="workflow_alias_name")]

    def __str__(self) -> str:
        return f"{self.workflow.slug}@{self.name}"
