"""Which columns look as if they held secrets or what identifies people, by their names alone: nothing is sampled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Tag → words of which one must stand in the name, as a whole part of it.
_WORDS: dict[str, str] = {
    "secret": (
        r"passw(or)?d|passwd|pwd|passphrase|secret|token|api_?key|private_?key|access_?key|credentials?|salt|otp"
        r"|password_?hash|session_?(id|key)"
    ),
    "email": r"e?_?mail(_?(address|addr))?|email\d?",
    "phone": r"phone(_?(number|no))?|mobile|tel(ephone)?|fax|msisdn",
    "card": r"card_?(number|no|num)|credit_?card|cc_?(number|num)|pan|cvv2?|cvc|iban|bic|account_?(number|no)",
    "person": (
        r"(first|last|middle|full|given|family|maiden|sur|display|user)_?name|surname|nickname|vorname|nachname"
        r"|birth_?(date|day|place)|date_?of_?birth|dob|gender|sex|nationality"
    ),
    "address": r"street|address(_?line)?\d?|addr|post_?(al_?)?code|zip(_?code)?|latitude|longitude|lat|lon|lng",
    "identity": (
        r"ssn|social_?security(_?(number|no))?|passport(_?(number|no))?|national_?id|tax_?id|nino"
        r"|licen[cs]e_?(number|no)"
    ),
    "network": r"ip(_?addr(ess)?)?|remote_?addr|client_?ip|mac_?addr(ess)?|user_?agent|device_?id|imei",
}
_PATTERNS = {tag: re.compile(rf"(?:^|_)(?:{words})(?:_|$)") for tag, words in _WORDS.items()}
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^a-z0-9]+")


def tags_of(name: str) -> list[str]:
    """Return what a column of this name looks like: `secret`, `email`, `phone`, `card`, `person` …; often nothing."""
    plain = _OTHER.sub("_", _HUMPS.sub("_", name[:200]).lower())
    found = [tag for tag, pattern in _PATTERNS.items() if pattern.search(plain)]
    # "email_address" is an address of another sort.
    return [tag for tag in found if tag != "address" or not {"email", "network"} & set(found)]


def tagged(tables: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the tables with `tags` at each column."""
    return [
        {**table, "columns": [{**column, "tags": tags_of(column["name"])} for column in table["columns"]]}
        for table in tables
    ]
