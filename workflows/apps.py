"""Workflows as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, versions, runs, events, the engine."""

    name = "workflows"
