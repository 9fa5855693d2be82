"""`manage.py prepare`: what a panel needs before it serves, in one process: each start of Django costs a second.

`up` talks to it over a socket, one word a line: it hears `servers` and `ready URL`, and says `migrated` and `prepared`.
By hand, without `--channel`, it does the same with the database that the settings name.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from typing import Any, TextIO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Role, User
from accounts.services import create_admin
from mcp_site.example import load, show
from mcp_site.management import rotation

# Any number; the same in every panel, so that two that start together on one database migrate one after the other.
_MIGRATION_LOCK = 7_240_163


class Command(BaseCommand):
    """Migrates, makes the first administrator, loads and runs the example."""

    help = "Migrate the database, make the first administrator if there is none, and load the example if asked."
    # The tables that checks may look at are not there yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--example", action="store_true", help="load the example, and run it when `up` is ready")
        parser.add_argument("--channel", type=int, help="descriptor of the socket on which `up` talks")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it in order, in step with `up`."""
        channel = _Channel(options["channel"])
        channel.expect("servers")
        _migrate()
        channel.say("migrated")
        self._test_secrets()
        admin = self._first_admin()
        if options["example"]:
            load.load(by=admin)
        channel.say("prepared")
        if options["example"] and options["channel"] is not None:
            url = channel.expect("ready").split()[1]
            sys.exit(show.run_and_show(by=admin, url=url))

    def _test_secrets(self) -> None:
        """Say which stored secrets open no more. The panel starts all the same; what needs them will name them."""
        if not any(settings.MCP_SECRET_KEYS):
            return
        for column in rotation.columns():
            if lost := rotation.census(column)[rotation.LOST]:
                self.stderr.write(
                    f"secrets: {lost} in {column.label} are sealed by a key that is not in MCP_SECRET_KEYS."
                    " Put the key back, or give these secrets anew (`manage.py rotate_secrets --status` tells more)."
                )

    def _first_admin(self) -> User:
        """Return the longest-serving administrator, made now if there is none."""
        found = User.objects.filter(groups__name=Role.ADMIN, is_active=True).order_by("pk").first()
        if found:
            return found
        email = os.environ.get("MCP_ADMIN_EMAIL") or "admin@example.com"
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"MCP_ADMIN_EMAIL is not an e-mail address: {email}") from error
        given = os.environ.get("MCP_ADMIN_PASSWORD")
        password = given or secrets.token_urlsafe(15)
        admin = create_admin(email=email, password=password)
        self.stdout.write(f"first administrator: {admin.email}")
        if not given:
            self.stdout.write(f"password, shown only now: {password}")
        return admin


def _migrate() -> None:
    """Bring the tables up to date, one process at a time. Raises CommandError if the database does not answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(%s)", [_MIGRATION_LOCK])
            executor = MigrationExecutor(connection)
            # Looked at first, because `migrate` also goes over all permissions: half a second at each start.
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                call_command("migrate", interactive=False, verbosity=0)
            cursor.execute("select pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from error


class _Channel:
    """The talk with `up`; by hand there is none, and everything is already there."""

    def __init__(self, descriptor: int | None) -> None:
        self._file: TextIO | None = None
        if descriptor is not None:
            self._file = socket.socket(fileno=descriptor).makefile("rw", encoding="utf-8")

    def expect(self, word: str) -> str:
        """Wait for a line that starts with `word`. Raises CommandError if `up` is gone."""
        if self._file is None:
            return word
        line = self._file.readline()
        if not line.startswith(word):
            raise CommandError("`up` ended")
        return line

    def say(self, word: str) -> None:
        """Tell `up` where we are."""
        if self._file is not None:
            self._file.write(f"{word}\n")
            self._file.flush()
