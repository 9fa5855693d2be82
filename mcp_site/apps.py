"""The wiring as a Django app: it brings the commands and the system checks, and no tables."""

from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Registers what belongs to the panel as a whole."""

    name = "mcp_site"
    label = "mcp_site"

    def ready(self) -> None:
        """Register the numbered system checks, and make ours the Celery app of every process and thread."""
        from mcp_site import celery, checks  # noqa: F401
