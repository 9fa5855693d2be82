"""Signs of life: when something that goes on in some process was last seen to."""

from __future__ import annotations

from django.db import models


class Beat(models.Model):
    """The last sign of life of `clock` (the ticks) or `worker` (a message went through the broker to a worker)."""

    name = models.CharField(max_length=32, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "monitoring_beats"

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
