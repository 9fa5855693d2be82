"""Definitions as a Django app."""

from __future__ import annotations

from django.apps import AppConfig

from mcp_site.core import uses


class DefinitionsConfig(AppConfig):
    """Definitions, versions, aliases, kinds."""

    name = "definitions"

    def ready(self) -> None:
        """Tell those below, who may not ask directly, which definitions use a connection."""
        # Models can be imported once all apps are loaded.
        from definitions.usage import definitions_using_connection, readings_of_connection

        uses.register("connection", definitions_using_connection)
        uses.register_reader("connection", readings_of_connection)
