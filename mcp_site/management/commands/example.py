"""`manage.py example`: the worked example once more, on a running panel."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Role, User
from mcp_site.example import load, show


class Command(BaseCommand):
    """Loads what is missing of the example, runs it and shows it."""

    help = "Load the example if it is missing, run it, and show it. A worker must be running."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it as the first administrator; the exit code tells whether it succeeded."""
        admin = User.objects.filter(groups__name=Role.ADMIN, is_active=True).order_by("pk").first()
        if admin is None:
            raise CommandError("There is no administrator yet; `manage.py up` or `manage.py prepare` makes one.")
        load.load(by=admin)
        address = settings.MCP_OWN_ADDRESS or "127.0.0.1:8000"
        sys.exit(show.run_and_show(by=admin, url=settings.PUBLIC_URL or f"http://{address}"))
