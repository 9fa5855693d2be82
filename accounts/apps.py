"""Accounts as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, roles and the audit trail."""

    name = "accounts"

    def ready(self) -> None:
        """Let the API's documents know our credentials, and the clock seal the audit trail."""
        from accounts import chain, letters, tokens
        from accounts.api import schema  # noqa: F401
        from mcp_site.core import ticks

        ticks.register("accounts.seal", 1.0, chain.tick)
        ticks.register("accounts.letters", 2.0, letters.send_due)
        ticks.register("accounts.forget", 24 * 3600.0, tokens.forget_old)
