"""Turning what drivers return into JSON values without losing anything silently."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

# Beyond this JavaScript, and much else that reads JSON, rounds whole numbers.
_EXACT_INTEGER = 2**53


def json_value(value: Any) -> Any:
    """Return `value` as JSON can say it.

    Decimals become numbers where a number says the same, else text; bytes base64; dates ISO; non-finite floats text.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return _decimal(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case list() | tuple() | set():
            return [json_value(item) for item in value]
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case _:
            return str(value)


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) <= _EXACT_INTEGER:
        return int(value)
    number = float(value)
    return number if math.isfinite(number) and Decimal(repr(number)) == value else format(value, "f")


def size_of(row: list[Any]) -> int:
    """Return about how many bytes a row takes as JSON: exact for text, near enough for the rest."""
    return sum(_size(value) for value in row)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value) + 2
    if value is None or isinstance(value, bool | int | float):
        return 8
    return len(json.dumps(value, default=str))
