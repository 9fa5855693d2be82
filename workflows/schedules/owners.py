"""Schedules and triggers act as their owner: whether he still may, and why not. One rule for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models

from accounts import access
from accounts.models import User
from workflows.models import Workflow

# Rows read at once by a sweep.
CHUNK = 500


def why_paused(owner: User | None, workflow: Workflow) -> str | None:
    """Return why nothing may start `workflow` as `owner`, a sentence for people; None where it may."""
    if owner is None or not owner.is_active:
        return "Paused: the account of its owner is switched off or gone."
    if not access.can(owner, "workflow.run", workflow):
        return "Paused: its owner may not run this workflow any more."
    if workflow.archived_at is not None:
        return "Paused: the workflow is archived."
    return None


def pause_those(enabled: models.QuerySet[Any], pause: Callable[[Any, str], None]) -> None:
    """Pause those of the `enabled` rows whose owner may not any more. A few queries a chunk, and one for each share."""
    # Prefetched and not joined: one instance for each person, so that the role is read once.
    for row in enabled.prefetch_related("owner__groups", "workflow").iterator(chunk_size=CHUNK):
        reason = why_paused(row.owner, row.workflow)
        if reason is not None:
            pause(row, reason)
