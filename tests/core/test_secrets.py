"""Sealing and masking."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from mcp_site.core.masking import MASK, Masker, mask_names
from mcp_site.core.sealing import NoSealingKey, SealBroken, key_id, resealed, seal, self_test, unseal


def test_a_sealed_value_opens_only_where_it_was_sealed_for() -> None:
    sealed = seal("hunter2", "connection:1:password")

    assert "hunter2" not in sealed
    assert unseal(sealed, "connection:1:password") == "hunter2"
    for place in ("connection:2:password", "connection:1:token"):
        with pytest.raises(SealBroken):
            unseal(sealed, place)


def test_the_same_value_is_never_sealed_the_same_twice() -> None:
    assert seal("x", "a") != seal("x", "a")


def test_old_keys_open_and_the_first_one_seals(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.MCP_SECRET_KEYS = [old]
    sealed = seal("x", "a")

    settings.MCP_SECRET_KEYS = [new, old]
    assert unseal(sealed, "a") == "x"
    again = seal("x", "a")
    settings.MCP_SECRET_KEYS = [new]
    assert unseal(again, "a") == "x"
    with pytest.raises(SealBroken):
        unseal(sealed, "a")


def test_without_a_key_nothing_is_stored_in_clear(settings: Any) -> None:
    settings.MCP_SECRET_KEYS = []

    with pytest.raises(NoSealingKey):
        seal("x", "a")


@pytest.mark.parametrize(
    "text", ["", "v1:", "v1:nonsense", "hunter2", "v2:00000000:x", "v2:nonsense", "v3:x", "••••••"]
)
def test_what_is_not_sealed_does_not_open(text: str) -> None:
    with pytest.raises(SealBroken):
        unseal(text, "a")


def test_the_text_names_its_key_and_nothing_else(settings: Any) -> None:
    key = Fernet.generate_key().decode()
    settings.MCP_SECRET_KEYS = [key]

    assert seal("hunter2", "a").startswith(f"v2:{key_id(key)}:")
    assert key_id(key) not in key
    assert len(key_id(key)) == 8


@pytest.mark.parametrize("place", [5, 20, 60, -2])
def test_a_changed_text_does_not_open(place: int) -> None:
    sealed = seal("hunter2", "a")
    changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place:][1:]

    with pytest.raises(SealBroken):
        unseal(changed, "a")


@pytest.mark.parametrize("value", ["", "größe 🦊", "x" * 1_000_000, "v2:00000000:abc", "line\nline"])
def test_every_text_comes_back_as_it_was(value: str) -> None:
    assert unseal(seal(value, "a"), "a") == value


def test_sealing_anew_keeps_value_and_place(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.MCP_SECRET_KEYS = [old]
    sealed = seal("x", "a")
    settings.MCP_SECRET_KEYS = [new, old]

    again = resealed(sealed)

    settings.MCP_SECRET_KEYS = [new]
    assert unseal(again, "a") == "x"
    with pytest.raises(SealBroken):
        unseal(again, "b")


def test_the_self_test_names_what_is_wrong_by_place_and_never_shows_a_key(settings: Any) -> None:
    key = Fernet.generate_key().decode()
    settings.MCP_SECRET_KEYS = [key]
    assert self_test() == []

    settings.MCP_SECRET_KEYS = [key, "not-a-key-at-all", key]
    found = self_test()
    assert found == ["key 2 is not a Fernet key", "the same key stands there twice"]


def test_a_known_secret_is_masked_in_every_form() -> None:
    secret = 'p/s "w"rd+é1'
    forms = [
        secret,
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
        json.dumps(secret),
        secret.encode().hex(),
    ]
    masker = Masker([secret])

    for form in forms:
        assert masker.text(f"before {form} after").startswith(
            f"before {MASK}" if form != json.dumps(secret) else "before "
        )
        assert secret not in masker.text(form)
        assert form.strip('"') not in masker.text(form)
    assert masker.data({secret: [secret, 1, {"x": secret}]}) == {MASK: [MASK, 1, {"x": MASK}]}


def test_short_values_are_left_alone_because_they_would_blank_out_words() -> None:
    assert Masker(["a", "the"]).text("the cat") == "the cat"


def test_names_that_promise_a_secret_are_masked_at_any_depth() -> None:
    masked = mask_names({"config": [{"api_key": "x", "host": "h", "user_password": None}], "token": ["old", "new"]})

    assert masked == {"config": [{"api_key": MASK, "host": "h", "user_password": None}], "token": MASK}
