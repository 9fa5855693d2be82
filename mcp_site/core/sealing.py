"""Sealing secrets for storage: Fernet keys from `MCP_SECRET_KEYS`, bound to their row and field.

The sealed text is `v2:<id of the key>:<fernet token>`; inside, a header names what it was sealed for, so that a sealed
value copied to another row or field does not open. The first key seals, every key opens. `v1:<token>`, without the
id, is what earlier versions wrote; it still opens, and `manage.py rotate_secrets` brings it to the new form.
"""

from __future__ import annotations

import hashlib
import json
import re

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from mcp_site.core.errors import AppError

#: What every sealed text begins with: `v1:` or `v2:<id>:`, as a pattern that PostgreSQL understands too.
SEALED = "^v(1|2:[0-9a-f]{8}):"
_FORM = re.compile(r"v(?:1|2:(?P<key>[0-9a-f]{8})):(?P<token>[A-Za-z0-9_=-]+)")


class SealBroken(AppError):
    """A stored secret can't be opened: the key it was sealed with is not in MCP_SECRET_KEYS."""

    code = "seal_broken"
    status = 409


class NoSealingKey(AppError):
    """No encryption key is configured; set MCP_SECRET_KEYS (`manage.py up` makes one)."""

    code = "no_sealing_key"
    status = 409


def key_id(key: str) -> str:
    """Return the public name of a key, eight hexadecimal digits that say nothing about it."""
    return hashlib.sha256(b"mcp sealing key\x00" + key.encode()).hexdigest()[:8]


def key_ids() -> list[str]:
    """Return the ids of the configured keys, the one that seals first. Raises NoSealingKey."""
    return list(_keys())


def seal(value: str, bound_to: str) -> str:
    """Return `value` sealed for the place `bound_to` (for example `connection:<uuid>:password`)."""
    return _sealed(json.dumps({"for": bound_to, "value": value}).encode())


def unseal(sealed: str, bound_to: str) -> str:
    """Return what `seal` was given. Raises SealBroken where key, place or text don't fit."""
    _, inner = _opened(sealed)
    try:
        found = json.loads(inner)
    except ValueError as exc:
        raise SealBroken from exc
    if found.get("for") != bound_to:
        raise SealBroken("A stored secret was moved from another row or field and does not open here.")
    return str(found["value"])


def opened_by(sealed: str) -> str:
    """Return the id of the configured key that opens this. Raises SealBroken."""
    return _opened(sealed)[0]


def resealed(sealed: str) -> str:
    """Return the same secret, bound to the same place, sealed by the first key. Raises SealBroken."""
    return _sealed(_opened(sealed)[1])


def self_test() -> list[str]:
    """Return what is wrong with the configured keys: each must open what it seals, and change what it seals."""
    wrong: list[str] = []
    for number, key in enumerate(filter(None, settings.MCP_SECRET_KEYS), 1):
        try:
            fernet = Fernet(key)
            token = fernet.encrypt(b"self-test")
            if fernet.decrypt(token) != b"self-test" or b"self-test" in token:
                wrong.append(f"key {number} does not open what it seals")
        except (ValueError, InvalidToken):
            wrong.append(f"key {number} is not a Fernet key")
    if len({key for key in settings.MCP_SECRET_KEYS if key}) < len([key for key in settings.MCP_SECRET_KEYS if key]):
        wrong.append("the same key stands there twice")
    return wrong


def _keys() -> dict[str, Fernet]:
    """Return the configured keys by id, in their order."""
    keys = {key_id(key): Fernet(key) for key in settings.MCP_SECRET_KEYS if key}
    if not keys:
        raise NoSealingKey
    return keys


def _sealed(inner: bytes) -> str:
    name, key = next(iter(_keys().items()))
    return f"v2:{name}:{key.encrypt(inner).decode()}"


def _opened(sealed: str) -> tuple[str, bytes]:
    form = _FORM.fullmatch(sealed)
    if form is None:
        raise SealBroken
    keys = _keys()
    if form["key"] is not None:
        keys = {name: key for name, key in keys.items() if name == form["key"]}
    for name, key in keys.items():
        try:
            return name, key.decrypt(form["token"].encode())
        except InvalidToken:
            continue
    raise SealBroken
