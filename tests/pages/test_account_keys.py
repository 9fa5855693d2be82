"""API keys on their page: made, shown once, rotated, revoked."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services
from accounts.models import ApiKey, User
from mcp_site.core import clock

GIVEN = {"name": "nightly", "scopes": ["runs:read", "workflows:write"]}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def secret_in(answer: Any) -> str:
    found = re.search(r'id="secret"[^>]*>(mcp_[^<]+)<', text(answer))
    assert found is not None
    return found[1]


def make(by: User, name: str = "key", **more: Any) -> ApiKey:
    return services.issue_key(by=by, name=name, scopes=["runs:read"], **more)[0]


def test_a_key_is_shown_once_and_works(browser: Any, api: Any, ben: User) -> None:
    client = browser(ben)

    made = client.post(reverse("account-keys"), {**GIVEN, "expires_on": "2099-12-31", "networks": "127.0.0.0/8\n\n"})

    secret = secret_in(made)
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    assert secret not in text(client.get(reverse("account-keys")))
    key = ApiKey.objects.get()
    assert (key.scopes, key.allowed_networks) == (["runs:read", "workflows:write"], ["127.0.0.0/8"])
    assert key.expiry_date is not None
    assert key.expiry_date.date() == date(2099, 12, 31)
    program = api(None)
    program.credentials(HTTP_X_API_KEY=secret)
    assert program.get("/api/v1/runs").status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "This field is required."),
        ({"scopes": []}, "Tick at least one"),
        ({"scopes": ["audit:read"]}, "Select a valid choice."),
        ({"networks": "10.0.0.0/8\nhome"}, "“home”: Write a network such as"),
        ({"networks": "10.0.0.0/8\n" * 51}, "At most 50 networks."),
        ({"expires_on": "2001-01-01"}, "Lies in the past."),
        ({"expires_on": "tomorrow"}, "Enter a valid date."),
    ],
)
def test_what_is_wrong_with_a_key_stands_beside_its_field(
    browser: Any, ben: User, change: dict[str, Any], said: str
) -> None:
    answer = browser(ben).post(reverse("account-keys"), {**GIVEN, **change})

    assert answer.status_code == 400
    assert said in text(answer)
    assert not ApiKey.objects.exists()


def test_what_was_typed_stays_in_a_refused_form(browser: Any, ben: User) -> None:
    page = text(browser(ben).post(reverse("account-keys"), {**GIVEN, "networks": "home"}))

    assert 'value="nightly"' in page
    assert 'value="workflows:write" checked' in page


@pytest.mark.parametrize(("person", "has_write", "has_audit"), [("cyd", 0, 0), ("ben", 1, 0), ("ada", 1, 1)])
def test_only_scopes_of_the_role_are_offered(
    browser: Any, request: pytest.FixtureRequest, person: str, has_write: int, has_audit: int
) -> None:
    page = text(browser(request.getfixturevalue(person)).get(reverse("account-keys")))

    assert page.count('value="runs:write"') == has_write
    assert page.count('value="audit:read"') == has_audit


def test_a_rotated_key_goes_on_for_as_long_as_was_chosen(browser: Any, ben: User) -> None:
    key = make(ben)

    answer = browser(ben).post(reverse("account-key-rotate", args=[key.uid]), {"overlap": "3600"})

    key.refresh_from_db()
    assert answer.status_code == 201
    assert ApiKey.objects.find(secret_in(answer)) is not None
    assert key.expiry_date is not None
    assert timedelta(minutes=59) < key.expiry_date - clock.now() <= timedelta(hours=1)


def test_a_dead_key_is_not_rotated_and_the_page_says_so(browser: Any, ben: User) -> None:
    key = make(ben)
    services.revoke_key(by=ben, key=key)
    client, rotate = browser(ben), reverse("account-key-rotate", args=[key.uid])

    assert "make a new one" in text(client.post(rotate, {"overlap": "0"}, follow=True))
    assert "Choose when the old key ends." in text(client.post(rotate, {"overlap": "7"}, follow=True))
    assert ApiKey.objects.count() == 1


def test_a_key_is_revoked(browser: Any, ben: User) -> None:
    key = make(ben, "nightly")
    client = browser(ben)

    answer = client.post(reverse("account-key-revoke", args=[key.uid]), follow=True)

    key.refresh_from_db()
    assert key.revoked
    assert "nightly is revoked" in text(answer)
    assert "nightly" not in text(client.get(reverse("account-keys")))
    assert "revoked</span>" in text(client.get(reverse("account-keys"), {"ended": "on"}))


def test_keys_of_others_are_seen_by_admins_who_ask_and_by_nobody_else(
    browser: Any, ada: User, ben: User, dov: User
) -> None:
    key = make(ben, "nightly")
    everyone = {"everyone": "on"}

    assert "nightly" not in text(browser(dov).get(reverse("account-keys"), everyone))
    assert browser(dov).post(reverse("account-key-revoke", args=[key.uid])).status_code == 404
    assert browser(dov).post(reverse("account-key-rotate", args=[key.uid]), {"overlap": "0"}).status_code == 404
    assert "nightly" not in text(browser(ada).get(reverse("account-keys")))
    assert "nightly" in text(browser(ada).get(reverse("account-keys"), everyone))
    assert browser(ada).post(reverse("account-key-revoke", args=[key.uid])).status_code == 302
    key.refresh_from_db()
    assert key.revoked


def test_the_list_is_searched_and_says_when_nothing_is_there(browser: Any, ben: User) -> None:
    client = browser(ben)
    assert "No keys yet" in text(client.get(reverse("account-keys")))
    key = make(ben, "nightly")
    make(ben, "grafana")

    assert "grafana" not in text(client.get(reverse("account-keys"), {"search": "night"}))
    assert "nightly" in text(client.get(reverse("account-keys"), {"search": f"mcp_{key.prefix}"}))
    assert "Nothing matches" in text(client.get(reverse("account-keys"), {"search": "zzz"}))


def test_a_key_that_ends_soon_says_so(browser: Any, ben: User) -> None:
    make(ben, expires_at=clock.now() + timedelta(days=3))

    assert "ends soon" in text(browser(ben).get(reverse("account-keys")))


def test_many_keys_cost_no_more_queries(browser: Any, ada: User, ben: User) -> None:
    client = browser(ada)
    make(ben)
    first = _queries(client)
    for number in range(5):
        make(ben, f"more {number}")

    assert _queries(client) == first


def _queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(reverse("account-keys"), {"everyone": "on"}).status_code == 200
    return len(seen)


def test_strangers_are_sent_to_the_sign_in(browser: Any, db: None) -> None:
    assert browser(None).get(reverse("account-keys"))["Location"].startswith(reverse("login"))
    assert browser(None).post(reverse("account-keys"), GIVEN)["Location"].startswith(reverse("login"))
