"""Aliases: names such as `production` that stand for one version and can be moved."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from definitions.models.definition import Definition
from definitions.models.version import DefinitionVersion


class AliasQuerySet(models.QuerySet["Alias"]):
    """Reads of aliases."""

    def with_numbers(self) -> AliasQuerySet:
        """Load the numbers of the versions, without their content."""
        return self.select_related("version").only("definition", "name", "moved_at", "version__number")


class Alias(models.Model):
    """A name for one version of a definition."""

    definition = models.ForeignKey(Definition, on_delete=models.PROTECT, related_name="aliases")
    name = models.CharField(max_length=63)
    version = models.ForeignKey(DefinitionVersion, on_delete=models.PROTECT, related_name="aliases")
    moved_at = models.DateTimeField(auto_now=True)
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = AliasQuerySet.as_manager()

    class Meta:
        db_table = "definitions_aliases"
        verbose_name_plural = "aliases"
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["definition", "name"], name="definition_alias_name")]

    def __str__(self) -> str:
        return f"{self.definition.slug}@{self.name}"


class AliasMove(models.Model):
    """One move of an alias: from a version (none: it is new) to another (none: it was removed). Only ever added."""

    definition = models.ForeignKey(Definition, on_delete=models.PROTECT, related_name="alias_moves")
    name = models.CharField(max_length=63)
    from_number = models.PositiveIntegerField(null=True)
    to_number = models.PositiveIntegerField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "definitions_alias_moves"
        ordering = ("-id",)
        indexes = [
            # The history of one alias, newest first.
            models.Index(fields=["definition", "name", "-id"], name="alias_move_history"),
        ]

    def __str__(self) -> str:
        return f"{self.definition.slug}@{self.name}: {self.from_number} → {self.to_number}"
