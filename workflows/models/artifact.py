"""Artifacts: files that attempts left behind, stored once by their hash."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mcp_site.core.models import PublicId
from workflows.models.run import Run


class Artifact(PublicId):
    """One file of a run. The bytes lie in the artifact store under `sha256`."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    n = models.IntegerField()
    step = models.CharField(max_length=63)
    index = models.IntegerField(null=True)
    attempt = models.IntegerField()
    name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=127)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "workflow_artifacts"
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name
