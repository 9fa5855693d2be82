"""Workflows as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, versions, runs, events, the engine."""

    name = "workflows"

    def ready(self) -> None:
        """Let the clock call the sweeper, and answer who uses a definition or a connection; keep answers."""
        from mcp_site.core import once, ticks, uses
        from workflows import idempotency, usage
        from workflows.engine import sweeper, transitions
        from workflows.schedules import firing
        from workflows.services import hooks

        ticks.register("workflows.sweep", 2.0, sweeper.sweep)
        ticks.register("workflows.partitions", 300.0, transitions.keep_partitions)
        ticks.register("workflows.schedules", 1.0, firing.fire_due)
        ticks.register("workflows.schedule_owners", 60.0, firing.pause_orphans)
        ticks.register("workflows.trigger_owners", 60.0, hooks.pause_orphans)
        ticks.register("workflows.firings", 3600.0, firing.prune)
        ticks.register("workflows.trigger_calls", 3600.0, hooks.prune)
        ticks.register("workflows.kept_answers", 600.0, idempotency.prune)
        once.keep_in(idempotency.open_slot)
        uses.register("workflow", usage.workflows_calling_workflow)
        uses.register("workflow", usage.schedules_of_workflow)
        uses.register("workflow", usage.triggers_of_workflow)
        uses.register("definition", usage.workflows_using_definition)
        uses.register("connection", usage.workflows_using_connection)
        uses.register_reader("connection", usage.readings_of_connection)
