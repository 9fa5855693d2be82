"""Monitoring as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Health and the dashboard; no tables yet."""

    name = "monitoring"
