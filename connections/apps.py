"""Connections as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Connections, snapshots of schemas, connectors."""

    name = "connections"
