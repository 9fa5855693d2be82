"""Misconfiguration is a numbered message with a hint before the start, never a surprise at run time."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register()
def sealing_keys(**_: Any) -> list[CheckMessage]:
    """mcp_site.E002: a key in MCP_SECRET_KEYS that is not a Fernet key."""
    for key in settings.MCP_SECRET_KEYS:
        try:
            Fernet(key)
        except ValueError:
            hint = "Make one with cryptography.fernet.Fernet.generate_key()."
            return [Error("MCP_SECRET_KEYS holds something that is not a Fernet key.", hint=hint, id="mcp_site.E002")]
    return []


@register()
def sandbox_level(**_: Any) -> list[CheckMessage]:
    """mcp_site.E003: an unknown SANDBOX."""
    if settings.SANDBOX in ("auto", "required", "process"):
        return []
    return [Error("SANDBOX is none of auto, required, process.", hint="Leave it out for auto.", id="mcp_site.E003")]


@register(deploy=True)
def production(**_: Any) -> list[CheckMessage]:
    """mcp_site.E001, E004, E005, W001: what a panel on the network may not start with."""
    if settings.MCP_LOCAL:
        return []
    found: list[CheckMessage] = []
    if settings.SECRET_KEY_IS_EPHEMERAL:
        found.append(
            Error("SECRET_KEY is not set.", hint="Set it, or let `manage.py up` make one.", id="mcp_site.E001")
        )
    if not settings.MCP_SECRET_KEYS:
        found.append(
            Error("MCP_SECRET_KEYS is not set.", hint="Secrets can't be sealed without it.", id="mcp_site.E004")
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error("ALLOWED_HOSTS holds *.", hint="Name the hosts that the panel answers to.", id="mcp_site.E005")
        )
    if not settings.PUBLIC_URL.startswith("https://") and not settings.MCP_INSECURE_HTTP:
        found.append(
            Warning("PUBLIC_URL is not an https address.", hint="Set PUBLIC_URL=https://…", id="mcp_site.W001")
        )
    return found
