"""Sealing secrets for storage: MultiFernet, keys from `MCP_SECRET_KEYS`, bound to their row and field.

The sealed text is `v1:<fernet token>`; inside, a header names what it was sealed for, so that a sealed value
copied to another row or field does not open. The first key seals, every key opens.
"""

from __future__ import annotations

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from mcp_site.core.errors import AppError

_PREFIX = "v1:"


class SealBroken(AppError):
    """A stored secret can't be opened: the key it was sealed with is not in MCP_SECRET_KEYS."""

    code = "seal_broken"
    status = 409


class NoSealingKey(AppError):
    """No encryption key is configured; set MCP_SECRET_KEYS (`manage.py up` makes one)."""

    code = "no_sealing_key"
    status = 409


def _keys() -> MultiFernet:
    keys = [key for key in settings.MCP_SECRET_KEYS if key]
    if not keys:
        raise NoSealingKey
    return MultiFernet([Fernet(key) for key in keys])


def seal(value: str, bound_to: str) -> str:
    """Return `value` sealed for the place `bound_to` (for example `connection:<uuid>:password`)."""
    inner = json.dumps({"for": bound_to, "value": value}).encode()
    return _PREFIX + _keys().encrypt(inner).decode()


def unseal(sealed: str, bound_to: str) -> str:
    """Return what `seal` was given. Raises SealBroken where key, place or text don't fit."""
    try:
        inner = json.loads(_keys().decrypt(sealed.removeprefix(_PREFIX).encode()))
    except (InvalidToken, ValueError) as exc:
        raise SealBroken from exc
    if not sealed.startswith(_PREFIX) or inner.get("for") != bound_to:
        raise SealBroken("A stored secret was moved from another row or field and does not open here.")
    return str(inner["value"])
