"""Workflows as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, versions, runs, events, the engine."""

    name = "workflows"

    def ready(self) -> None:
        """Let the clock call the sweeper, and answer who uses a definition or a connection."""
        from mcp_site.core import ticks, uses
        from workflows import usage
        from workflows.engine import sweeper, transitions

        ticks.register("workflows.sweep", 2.0, sweeper.sweep)
        ticks.register("workflows.partitions", 300.0, transitions.keep_partitions)
        uses.register("definition", usage.workflows_using_definition)
        uses.register("connection", usage.workflows_using_connection)
