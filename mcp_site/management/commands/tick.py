"""`manage.py tick`: the panel's clock alone, for an installation that keeps it out of web and workers."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from mcp_site.core.ticks import TickThread


class Command(BaseCommand):
    """Runs the ticks in this process until it is asked to end."""

    help = "Run the periodic work until SIGTERM or Ctrl-C. Web and workers do it by themselves unless MCP_TICKS=0."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the thread's loop here; a signal lets the tick at hand finish."""
        clock = TickThread()

        def stop(_number: int, _frame: FrameType | None) -> None:
            clock.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        clock.run()
