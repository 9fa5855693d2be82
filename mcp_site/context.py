"""What every page's template may name."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def panel(request: HttpRequest) -> dict[str, Any]:
    """Return the panel's version and mode."""
    return {"panel_version": settings.VERSION, "panel_local": settings.MCP_LOCAL}
