"""Versions: what a definition does, numbered, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from definitions.models.definition import Definition
from mcp_site.core.ids import Reference
from mcp_site.core.models import PublicId


class DefinitionVersionQuerySet(models.QuerySet["DefinitionVersion"]):
    """Reads of versions."""

    def resolve(self, references: Iterable[Reference]) -> dict[Reference, DefinitionVersion]:
        """Return what each reference names now, with its definition; what is unknown or archived is absent.

        Two queries at most, however many references.
        """
        wanted = set(references)
        named = {(one.slug, one.alias): one for one in wanted if one.alias is not None}
        return self._by_number(wanted - set(named.values())) | self._by_alias(named)

    def _by_number(self, wanted: set[Reference]) -> dict[Reference, DefinitionVersion]:
        if not wanted:
            return {}
        condition = Q(definition__slug__in={one.slug for one in wanted if one.number is None}) & Q(
            number=F("definition__latest_number")
        )
        for one in wanted:
            if one.number is not None:
                condition |= Q(definition__slug=one.slug, number=one.number)
        rows = self.filter(condition, definition__archived_at=None).select_related("definition")
        by_number = {(row.definition.slug, row.number): row for row in rows}
        newest = {slug: row for (slug, number), row in by_number.items() if number == row.definition.latest_number}
        found = {}
        for one in wanted:
            row = newest.get(one.slug) if one.number is None else by_number.get((one.slug, one.number))
            if row is not None:
                found[one] = row
        return found

    def _by_alias(self, named: dict[tuple[str, str], Reference]) -> dict[Reference, DefinitionVersion]:
        if not named:
            return {}
        aliases = apps.get_model("definitions", "Alias").objects.filter(
            definition__slug__in={slug for slug, _ in named},
            name__in={name for _, name in named},
            definition__archived_at=None,
        )
        found = {}
        for alias in aliases.select_related("version__definition"):
            reference = named.get((alias.version.definition.slug, alias.name))
            if reference is not None:
                found[reference] = alias.version
        return found


class DefinitionVersion(PublicId):
    """One immutable state of a definition. A database trigger refuses to change or remove it."""

    definition = models.ForeignKey(Definition, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    config = models.JSONField(help_text="of the kind's own shape, with every default written out")
    input_schema = models.JSONField(null=True)
    output_schema = models.JSONField(null=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of config and schemas in canonical JSON")
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DefinitionVersionQuerySet.as_manager()

    class Meta:
        db_table = "definitions_versions"
        ordering = ("-number",)
        constraints = [models.UniqueConstraint(fields=["definition", "number"], name="definition_version_number")]

    def __str__(self) -> str:
        return f"{self.definition.slug}@{self.number}"

    @property
    def content(self) -> dict[str, Any]:
        """Return what makes this version itself: two versions of equal content do the same."""
        return {"config": self.config, "input_schema": self.input_schema, "output_schema": self.output_schema}
