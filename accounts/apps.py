"""Accounts as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, roles and the audit trail."""

    name = "accounts"

    def ready(self) -> None:
        """Let the API's documents know our credentials."""
        from accounts.api import schema  # noqa: F401
