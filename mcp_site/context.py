"""What every page's template may name."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from monitoring import dashboard


def panel(request: HttpRequest) -> dict[str, Any]:
    """Return the panel's version and mode, and, for pages that ask, how much is going, open and unread."""

    def running() -> int:
        # Called by the navigation alone: an error page asks nothing of the database.
        return dashboard.running_now(request.user)

    return {
        "panel_version": settings.VERSION,
        "panel_local": settings.MCP_LOCAL,
        "panel_running": running,
        "panel_alerts": lambda: dashboard.open_alerts(request.user),
        "panel_unread": lambda: dashboard.unread(request.user),
    }
