"""Misconfiguration is a numbered message with a hint before the start, never a surprise at run time."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from mcp_site.core import sealing


@register()
def sealing_keys(**_: Any) -> list[CheckMessage]:
    """mcp_site.E002: a key in MCP_SECRET_KEYS that does not seal and open, tried at each start."""
    hint = "Make one with cryptography.fernet.Fernet.generate_key()."
    return [Error(f"MCP_SECRET_KEYS: {wrong}.", hint=hint, id="mcp_site.E002") for wrong in sealing.self_test()]


@register()
def sandbox_level(**_: Any) -> list[CheckMessage]:
    """mcp_site.E003: an unknown SANDBOX."""
    if settings.SANDBOX in ("auto", "required", "process"):
        return []
    return [Error("SANDBOX is none of auto, required, process.", hint="Leave it out for auto.", id="mcp_site.E003")]


@register()
def cross_origin(**_: Any) -> list[CheckMessage]:
    """mcp_site.E006: any website might act with the cookies of whoever visits it."""
    if not (settings.CORS_ALLOW_ALL_ORIGINS and settings.CORS_ALLOW_CREDENTIALS):
        return []
    hint = "Name the origins in CORS_ALLOWED_ORIGINS, or leave CORS_ALLOW_CREDENTIALS out."
    return [Error("CORS_ALLOW_CREDENTIALS goes with the origin * .", hint=hint, id="mcp_site.E006")]


@register()
def registration(**_: Any) -> list[CheckMessage]:
    """mcp_site.E008, E009: an unknown REGISTRATION, and roles that nobody may take without being given them."""
    found: list[CheckMessage] = []
    if settings.REGISTRATION not in ("open", "invite", "closed"):
        found.append(Error("REGISTRATION is none of open, invite, closed.", id="mcp_site.E008"))
    if not set(settings.SELF_REGISTRATION_ROLES) <= {"Viewer", "Editor"}:
        hint = "Admins are made by other Admins, or by `manage.py prepare` where there is none."
        found.append(Error("SELF_REGISTRATION_ROLES may hold Viewer and Editor.", hint=hint, id="mcp_site.E009"))
    return found


@register()
def networks(**_: Any) -> list[CheckMessage]:
    """mcp_site.E012: an entry of METRICS_ALLOW that is no network."""
    for entry in settings.METRICS_ALLOW:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            hint = "Write networks such as 10.0.0.0/8 or 2001:db8::/32."
            return [Error(f"METRICS_ALLOW holds {entry!r}, which is no network.", hint=hint, id="mcp_site.E012")]
    return []


_MIN_KEY = 40
# Words of keys that were never meant to be used: Django's own, and those of examples.
_PLACEHOLDERS = ("django-insecure", "change-me", "changeme", "secret-key", "your-secret", "example")


def _is_weak(key: str) -> bool:
    low = key.lower()
    return len(key) < _MIN_KEY or len(set(key)) < 10 or any(word in low for word in _PLACEHOLDERS)


@register(deploy=True)
def production(**_: Any) -> list[CheckMessage]:
    """mcp_site.E001, E004, E005, E007, E010, E011: what a panel on the network may not start with."""
    if settings.MCP_LOCAL:
        return []
    secure = settings.PUBLIC_URL.startswith("https://") or settings.MCP_INSECURE_HTTP
    rules = [
        (
            settings.SECRET_KEY_IS_EPHEMERAL,
            Error("SECRET_KEY is not set.", hint="Set it, or let `manage.py up` make one.", id="mcp_site.E001"),
        ),
        (
            not settings.SECRET_KEY_IS_EPHEMERAL and _is_weak(settings.SECRET_KEY),
            Error(
                "SECRET_KEY is short, plain, or an example's.",
                hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
                id="mcp_site.E010",
            ),
        ),
        (
            not settings.MCP_SECRET_KEYS,
            Error("MCP_SECRET_KEYS is not set.", hint="Secrets can't be sealed without it.", id="mcp_site.E004"),
        ),
        (
            "*" in settings.ALLOWED_HOSTS,
            Error("ALLOWED_HOSTS holds *.", hint="Name the hosts that the panel answers to.", id="mcp_site.E005"),
        ),
        (
            settings.DEBUG,
            Error("DEBUG is on.", hint="It shows settings and code to strangers. Leave it out.", id="mcp_site.E007"),
        ),
        (
            not secure,
            Error(
                "PUBLIC_URL is not an https address.",
                hint="Set PUBLIC_URL=https://…, or MCP_INSECURE_HTTP=1 where nobody else is on the network.",
                id="mcp_site.E011",
            ),
        ),
    ]
    return [message for is_wrong, message in rules if is_wrong]


def refuse_unsafe_start() -> None:
    """End this process, saying why, if it would serve unsafely. Web and workers call it before they begin."""
    rules = (sealing_keys, sandbox_level, cross_origin, registration, networks, production)
    wrong = [message for rule in rules for message in rule() if message.is_serious()]
    if wrong:
        lines = [f"{message.id}: {message.msg} {message.hint or ''}".rstrip() for message in wrong]
        sys.stderr.write("The panel does not start like this:\n  " + "\n  ".join(lines) + "\n")
        sys.exit(78)  # EX_CONFIG of sysexits.h
