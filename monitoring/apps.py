"""Monitoring as a Django app."""

from __future__ import annotations

from functools import partial

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Metrics, alerts, health and the dashboard."""

    name = "monitoring"

    def ready(self) -> None:
        """Let the clock measure the panel, roll samples up, judge series by rules, and send what is queued."""
        from mcp_site.core import ticks
        from monitoring import alerting, capture, rollups, tasks

        ticks.register("monitoring.beat", 15.0, tasks.beat)
        ticks.register("monitoring.runs", 2.0, capture.measure_runs)
        ticks.register("monitoring.queue", 15.0, capture.measure_queue)
        # Alerts look at minutes, so those come quickly; nobody looks at an hour that has just begun.
        ticks.register("monitoring.minutes", 2.0, partial(rollups.roll_up, 60))
        ticks.register("monitoring.rules", 4.0, alerting.evaluate)
        ticks.register("monitoring.deliveries", 1.0, alerting.deliver_in_background)
        ticks.register("monitoring.hours", 30.0, partial(rollups.roll_up, 3600))
        ticks.register("monitoring.days", 120.0, partial(rollups.roll_up, 86400))
        ticks.register("monitoring.partitions", 600.0, rollups.keep_partitions)
