"""Signing in by API and page, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from accounts import tokens
from accounts.models import AuditEvent, Role, User
from accounts.services import create_admin, set_role
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
Api = Callable[[User | None], APIClient]


def login(client: APIClient, email: str, password: str) -> Any:
    return client.post("/auth/login", {"email": email, "password": password})


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_login_gives_tokens_that_work_at_both_addresses(api: Api, ben: User, base: str) -> None:
    client = api(None)

    answer = client.post(f"{base}/auth/login", {"email": "BEN@example.com", "password": PASSWORD})

    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    assert (body["user"]["email"], body["user"]["role_name"]) == ("ben@example.com", "Editor")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert client.get(f"{base}/auth/me").json()["id"] == str(ben.uid)


def test_a_wrong_password_and_an_unknown_person_get_the_same_answer(api: Api, ben: User) -> None:
    wrong = login(api(None), ben.email, "not the password")
    unknown = login(api(None), "nobody@example.com", "not the password")

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.json() == unknown.json()
    assert wrong["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        ({}, "email", "required"),
        ({"email": "x", "password": "y"}, "email", "invalid"),
        ({"email": "a@example.com", "password": "y", "role_name": "Admin"}, "role_name", "unknown_field"),
        ({"email": "a@example.com", "password": ["y"]}, "password", "invalid"),
    ],
)
def test_a_wrong_login_body_names_the_field(api: Api, body: dict[str, Any], attr: str, code: str) -> None:
    refused = api(None).post("/auth/login", body)

    assert refused.status_code == 400
    assert {"attr": attr, "code": code}.items() <= {
        key: value for error in refused.json()["errors"] if error["attr"] == attr for key, value in error.items()
    }.items()


def test_a_refresh_token_works_once_and_its_second_use_ends_the_sign_in(api: Api, ben: User) -> None:
    client = api(None)
    old = login(client, ben.email, PASSWORD).json()
    other = login(client, ben.email, PASSWORD).json()

    first = client.post("/auth/refresh", {"refresh_token": old["refresh_token"]})
    second = client.post("/auth/refresh", {"refresh_token": first.json()["refresh_token"]})
    stolen = client.post("/auth/refresh", {"refresh_token": old["refresh_token"]})

    assert (first.status_code, second.status_code, stolen.status_code) == (200, 200, 401)
    for pair in (old, first.json(), second.json()):
        assert client.post("/auth/refresh", {"refresh_token": pair["refresh_token"]}).status_code == 401
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access_token']}")
        assert client.get("/auth/me").status_code == 401
        client.credentials()
    assert AuditEvent.objects.filter(action="auth.refresh_reused").count() == 1
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {other['access_token']}")
    assert client.get("/auth/me").status_code == 200


def test_tokens_of_the_wrong_sort_or_time_or_person_are_refused(api: Api, ben: User) -> None:
    client = api(None)
    pair = tokens.open_with_tokens(ben, address=None, user_agent="")
    expired = AccessToken()
    expired["sid"] = str(pair.session.uid)
    expired.set_exp(lifetime=-timedelta(seconds=1))
    nobody = AccessToken()

    for token in (pair.refresh, str(expired), str(nobody), pair.access[:-2] + "xx"):
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        assert client.get("/auth/me").status_code == 401
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert client.get("/auth/me").status_code == 200
    User.objects.filter(pk=ben.pk).update(is_active=False)
    assert client.get("/auth/me").status_code == 401


def test_people_change_their_name_and_nothing_else(api: Api, ben: User) -> None:
    client = api(ben)

    assert client.patch("/auth/me", {"full_name": "Benjamin"}).json()["full_name"] == "Benjamin"
    for field in ("role_name", "is_active", "is_superuser", "id", "email"):
        refused = client.patch("/auth/me", {field: "Admin"})
        assert refused.json()["errors"][0]["code"] == "unknown_field"
    ben.refresh_from_db()
    assert (ben.role, ben.email) == (Role.EDITOR, "ben@example.com")


def test_a_login_is_recorded_with_its_request_and_address(api: Api, ben: User) -> None:
    client = api(None)

    client.post("/auth/login", {"email": ben.email, "password": PASSWORD}, HTTP_X_REQUEST_ID="request-4711")

    event = AuditEvent.objects.get(action="auth.login")
    assert (event.actor, event.request_id, event.address) == (ben, "request-4711", "127.0.0.1")


def test_the_audit_trail_can_not_be_changed_or_emptied(ben: User) -> None:
    set_role(user=ben, role=Role.VIEWER, by=None)

    statements = [
        "update accounts_audit_events set action = 'x'",
        "delete from accounts_audit_events",
        "truncate accounts_audit_events cascade",
    ]
    for statement in statements:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_audit_row_never_holds_what_stands_under_a_secret_name(ben: User) -> None:
    from accounts import audit

    event = audit.log(
        ben, "connection.update", type="connection", id="1", changes={"password": ["a", "b"], "host": [1, 2]}
    )

    event.refresh_from_db()
    assert event.changes["password"] != ["a", "b"]
    assert event.changes["host"] == [1, 2]


def test_the_first_admin_may_do_everything() -> None:
    admin = create_admin(email="First@Example.com", password=PASSWORD)

    assert (admin.email, admin.role, admin.is_staff) == ("first@example.com", Role.ADMIN, True)


def test_the_role_is_a_group_and_only_one(ben: User) -> None:
    set_role(user=ben, role=Role.ADMIN, by=None)

    fresh = User.objects.get(pk=ben.pk)
    assert (fresh.role, [group.name for group in fresh.groups.all()]) == (Role.ADMIN, ["Admin"])


def test_people_sign_in_and_out_by_page(ben: User) -> None:
    client = Client()

    assert client.post("/login/", {"username": "ben@example.com", "password": "wrong"}).status_code == 200
    signed_in = client.post("/login/", {"username": "Ben@example.com", "password": PASSWORD})
    assert (signed_in.status_code, signed_in["Location"]) == (302, "/")
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").status_code == 302
    assert client.get("/")["Location"].startswith("/login/")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_never_leads_away(ben: User, target: str) -> None:
    answer = Client().post(f"/login/?next={target}", {"username": ben.email, "password": PASSWORD})

    assert answer["Location"] == "/"


def test_the_headers_of_every_answer(api: Api) -> None:
    for path in ("/login/", "/health/live", "/api/v1/nothing"):
        answer = api(None).get(path)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Request-ID"]
        assert "unsafe-inline" not in answer["Content-Security-Policy"]


def test_a_request_id_that_could_forge_a_log_line_is_replaced(api: Api) -> None:
    answer = api(None).get("/health/live", HTTP_X_REQUEST_ID="evil\nline")

    assert "evil" not in answer["X-Request-ID"]
