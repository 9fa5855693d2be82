"""Abstract columns that most tables share."""

from __future__ import annotations

from django.db import models

from mcp_site.core.ids import uuid7


class PublicId(models.Model):
    """A row that the outside knows by a UUIDv7, while its key inside is a number."""

    uid = models.UUIDField("public id", default=uuid7, unique=True, editable=False)

    class Meta:
        abstract = True


class Timestamped(models.Model):
    """A row that knows when it was made and last changed."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Visibility(models.TextChoices):
    """Who may see a thing without a share: its owner alone, or everyone in the panel."""

    PRIVATE = "private", "Private"
    ORGANISATION = "organisation", "Organisation"
