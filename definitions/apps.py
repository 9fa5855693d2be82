"""Definitions as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DefinitionsConfig(AppConfig):
    """Definitions, versions, aliases, kinds."""

    name = "definitions"
