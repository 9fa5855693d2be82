"""Taking secrets out of text before it is stored or shown.

Two halves: values that are known to be secret (in plain, URL-encoded, base64 and JSON-escaped form),
and names that promise a secret (`password`, `token`, …) in nested data.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "••••••"
# Shorter values would blank out ordinary words; such secrets can't be promised to be masked.
MIN_LENGTH = 6

_SECRET_NAME = re.compile(
    r"(?i)(passw(or)?d|passwd|secret|token|api_?key|private_?key|access_?key|authorization|credentials?|bearer|passphrase|pwd)$"
)


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name should be expected to hold a secret."""
    return bool(_SECRET_NAME.search(name))


def _forms(value: str) -> set[str]:
    raw = value.encode()
    forms = {
        value,
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }
    forms |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()}
    return {form for form in forms if len(form) >= MIN_LENGTH}


class Masker:
    """Replaces the given secret values wherever they appear in text or in JSON data."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = sorted(
            {form for value in values if len(value) >= MIN_LENGTH for form in _forms(value)}, key=len, reverse=True
        )
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None

    def text(self, text: str) -> str:
        """Return `text` with every known secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def data(self, value: Any) -> Any:
        """Return JSON `value` with every known secret replaced, in names as in values."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(inner) for inner in value]
        return value


def mask_names(value: Any) -> Any:
    """Return JSON `value` with what stands under secret-looking names replaced (for audit and logs)."""
    if isinstance(value, dict):
        return {
            key: MASK if is_secret_name(str(key)) and inner not in (None, "") else mask_names(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [mask_names(inner) for inner in value]
    return value
