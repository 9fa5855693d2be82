"""`manage.py up`: the whole panel with one command. `manage.py` itself runs it without loading Django."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mcp_site.up import main


class Command(BaseCommand):
    """Shows the options in Django's help, and runs the same code when called from Python."""

    help = "Start the embedded servers, web and worker, run the example, and serve until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        main.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; the exit code is the command's."""
        sys.exit(main.run(argparse.Namespace(**options)))
