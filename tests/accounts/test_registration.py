"""Registering: nobody gets more than the panel's policy gives, whatever they send."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from rest_framework.test import APIClient

from accounts import letters, services, tokens
from accounts.models import AuditEvent, Letter, Role, User
from tests.conftest import PASSWORD

Api = Callable[[User | None], APIClient]
NEW = {"email": "new@example.com", "password": PASSWORD}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _open(settings: Any) -> None:
    settings.REGISTRATION = "open"
    settings.SELF_REGISTRATION_ROLES = ["Viewer"]


def refusal(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["errors"][0]
    return answer.status_code, error["code"], error["attr"]


@pytest.mark.parametrize("base", ["", "/api/v1"])
def test_a_stranger_registers_as_viewer_and_can_sign_in(api: Api, base: str) -> None:
    client = api(None)

    made = client.post(f"{base}/auth/register", {**NEW, "full_name": "Nell New"})

    assert made.status_code == 201
    assert {"email": "new@example.com", "role_name": "Viewer", "requested_role": "", "is_active": True}.items() <= (
        made.json().items()
    )
    assert PASSWORD not in made.content.decode()
    assert client.post("/auth/login", NEW).status_code == 200
    assert AuditEvent.objects.get(action="user.register").object_id == made.json()["id"]


def test_a_wish_above_the_policy_waits_for_an_admin_and_is_granted_or_refused(api: Api, ada: User) -> None:
    made = api(None).post("/auth/register", {**NEW, "role_name": "Editor"}).json()
    other = api(None).post("/auth/register", {**NEW, "email": "b@example.com", "role_name": "Editor"}).json()
    admin = api(ada)

    assert (made["role_name"], made["requested_role"]) == ("Viewer", "Editor")
    waiting = admin.get("/users?requested=true").json()["results"]
    assert {user["id"] for user in waiting} == {made["id"], other["id"]}
    granted = admin.post(f"/users/{made['id']}/role-request", {"grant": True}).json()
    refused = admin.post(f"/users/{other['id']}/role-request", {"grant": False}).json()
    assert (granted["role_name"], granted["requested_role"]) == ("Editor", "")
    assert (refused["role_name"], refused["requested_role"]) == ("Viewer", "")
    again = admin.post(f"/users/{other['id']}/role-request", {"grant": True})
    assert refusal(again)[:2] == (409, "nothing_requested")


def test_a_wish_within_the_policy_is_granted_at_once(api: Api, settings: Any) -> None:
    settings.SELF_REGISTRATION_ROLES = ["Viewer", "Editor"]

    made = api(None).post("/auth/register", {**NEW, "role_name": "Editor"}).json()

    assert (made["role_name"], made["requested_role"]) == ("Editor", "")


def test_nobody_registers_as_admin(api: Api, settings: Any) -> None:
    settings.SELF_REGISTRATION_ROLES = ["Viewer", "Editor", "Admin"]

    assert refusal(api(None).post("/auth/register", {**NEW, "role_name": "Admin"}))[:2] == (403, "admin_refused")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "extra",
    [
        {"role": "Admin"},
        {"roles": ["Admin"]},
        {"role_id": 1},
        {"is_staff": True},
        {"is_superuser": True},
        {"is_active": True},
        {"groups": [{"name": "Admin"}]},
        {"user_permissions": ["*"]},
        {"requested_role": "Admin"},
        {"id": "0192e7a0-0000-7000-8000-000000000000"},
        {"created_at": "2001-01-01T00:00:00Z"},
        {"__class__": "Admin"},
    ],
)
def test_fields_of_rights_are_refused_by_name(api: Api, extra: dict[str, Any]) -> None:
    answer = api(None).post("/auth/register", {**NEW, **extra})

    assert refusal(answer) == (400, "unknown_field", next(iter(extra)))
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"email":"new@example.com","password":"%s","role_name":"Viewer","role_name":"Admin"}', "application/json"),
        ("email=new@example.com&password=%s&is_superuser=1", "application/x-www-form-urlencoded"),
        ('[{"email":"new@example.com","password":"%s"}]', "application/json"),
        ('"%s"', "application/json"),
        ('{"email":{"$ne":null},"password":"%s"}', "application/json"),
        ('{"email":"new@example.com","password":"%s","role_name":["Admin"]}', "application/json"),
        ('{"email":"new@example.com","password":"%s","role_name":{"name":"Admin"}}', "application/json"),
    ],
)
def test_odd_bodies_make_nobody(api: Api, body: str, kind: str) -> None:
    answer = api(None).post("/auth/register?role_name=Admin", body % PASSWORD, content_type=kind)

    assert answer.status_code in (400, 403, 415)
    assert not User.objects.exists()


def test_rights_in_the_query_or_in_headers_count_for_nothing(api: Api) -> None:
    made = api(None).post("/auth/register?role_name=Editor&is_superuser=1", NEW, HTTP_X_ROLE="Admin")

    assert made.json()["role_name"] == "Viewer"
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.requested_role) == (False, False, "")


@pytest.mark.parametrize("email", ["new@example.com", "NEW@Example.com", "ｎｅｗ@example.com", " new@example.com "])
def test_a_known_email_is_refused_in_every_spelling(api: Api, email: str) -> None:
    api(None).post("/auth/register", NEW)

    answer = api(None).post("/auth/register", {**NEW, "email": email})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "email"
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("x7-Qz", "password_too_short"),
        ("password1234", "password_too_common"),
        ("123456789012345", "password_entirely_numeric"),
        ("new@example.com", "password_too_similar"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(api: Api, password: str, code: str) -> None:
    answer = api(None).post("/auth/register", {**NEW, "password": password})

    assert answer.status_code == 400
    assert code in {error["code"] for error in answer.json()["errors"]}
    assert {error["attr"] for error in answer.json()["errors"]} == {"password"}
    assert password not in answer.content.decode() or "@" in password


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_only_post_registers(api: Api, method: str) -> None:
    assert getattr(api(None), method)("/auth/register", NEW).status_code == 405


def test_a_closed_panel_lets_nobody_register(api: Api, settings: Any) -> None:
    settings.REGISTRATION = "closed"

    assert refusal(api(None).post("/auth/register", NEW))[:2] == (403, "registration_closed")
    invited = api(None).post("/auth/register", {**NEW, "invite_token": "x"})
    assert refusal(invited)[:2] == (403, "registration_closed")
    assert not User.objects.exists()


def test_more_registrations_than_allowed_wait(api: Api, settings: Any) -> None:
    settings.RATES = {**settings.RATES, "register": 2}
    client = api(None)

    answers = [client.post("/auth/register", {**NEW, "email": f"n{n}@example.com"}) for n in range(4)]

    assert [answer.status_code for answer in answers] == [201, 201, 429, 429]
    assert int(answers[2]["Retry-After"]) > 0
    spoofed = client.post("/auth/register", {**NEW, "email": "s@example.com"}, HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert spoofed.status_code == 429


def invited(api: Api, by: User, **body: Any) -> tuple[dict[str, Any], str]:
    """Return what the answer to an invitation says, and the token of its link."""
    answer = api(by).post("/users", {"email": "guest@example.com", "role_name": "Editor", **body})
    assert answer.status_code == 201, answer.content
    return answer.json(), answer.json()["invite_url"].partition("#")[2]


def test_an_invitation_goes_out_and_lets_one_person_in_with_its_role(api: Api, ada: User, settings: Any) -> None:
    settings.REGISTRATION = "invite"
    user, token = invited(api, ada, full_name="Gus Guest")
    guest = {"email": "guest@example.com", "password": PASSWORD, "invite_token": token}

    assert (user["is_pending"], user["role_name"]) == (True, "Editor")
    letters.send_due()
    assert mail.outbox[0].to == ["guest@example.com"]
    assert "/register/#" in mail.outbox[0].body
    assert api(None).post("/auth/login", {"email": guest["email"], "password": PASSWORD}).status_code == 401
    accepted = api(None).post("/auth/register", {**guest, "role_name": "Viewer"})
    assert accepted.status_code == 201
    assert accepted.json()["role_name"] == "Editor"
    assert accepted.json()["full_name"] == "Gus Guest"
    assert accepted.json()["is_pending"] is False
    assert api(None).post("/auth/login", {"email": guest["email"], "password": PASSWORD}).status_code == 200
    used = api(None).post("/auth/register", {**guest, "password": "another fine password"})
    assert refusal(used) == (400, "invalid", "invite_token")


def test_an_invitation_is_good_for_its_own_email_and_time_only(
    api: Api, ada: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REGISTRATION = "invite"
    user, token = invited(api, ada)
    guest = {"email": "guest@example.com", "password": PASSWORD, "invite_token": token}
    reset = tokens.letter(User.objects.get(uid=user["id"]), tokens.RESET)

    wrong = [
        {**guest, "email": "other@example.com"},
        {**guest, "invite_token": token[:-1] + ("a" if token[-1] != "a" else "b")},
        {**guest, "invite_token": reset},
        {**guest, "invite_token": "x"},
    ]
    for body in wrong:
        assert refusal(api(None).post("/auth/register", body)) == (400, "invalid", "invite_token")
    assert refusal(api(None).post("/auth/register", {**guest, "invite_token": ""}))[0] == 400
    assert refusal(api(None).post("/auth/register", NEW))[:2] == (403, "registration_closed")
    monkeypatch.setitem(tokens.LETTER_LIFETIME, tokens.INVITATION, tokens.timedelta(seconds=-1))
    assert refusal(api(None).post("/auth/register", guest)) == (400, "invalid", "invite_token")
    assert User.objects.get(uid=user["id"]).is_pending


def test_only_admins_invite_and_a_known_person_is_not_invited(api: Api, ada: User, ben: User) -> None:
    body = {"email": "guest@example.com", "role_name": "Editor"}

    assert api(ben).post("/users", body).status_code == 403
    assert refusal(api(ada).post("/users", {**body, "email": ben.email})) == (400, "unique", "email")
    first, _ = invited(api, ada)
    second, _ = invited(api, ada, role_name="Viewer")
    assert (first["id"], second["role_name"]) == (second["id"], "Viewer")
    assert Letter.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_first_registrations_at_once_make_no_admin(api: Api, settings: Any) -> None:
    settings.SELF_REGISTRATION_ROLES = ["Viewer", "Editor"]
    settings.RATES = {}
    seen: list[int] = []
    start = threading.Barrier(50)

    def register(number: int) -> None:
        try:
            start.wait()
            # Half of them with one e-mail.
            email = f"n{number}@example.com" if number % 2 else "same@example.com"
            role = ("Admin", "Editor", "Viewer")[number % 3]
            answer = api(None).post("/auth/register", {"email": email, "password": PASSWORD, "role_name": role})
            seen.append(answer.status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=register, args=[number]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(seen) == {201, 400, 403}
    assert not User.objects.admins().exists()
    assert not User.objects.filter(is_staff=True).exists()
    assert User.objects.filter(email="same@example.com").count() == 1
    assert User.objects.count() == seen.count(201)


def test_letters_are_tried_again_and_say_what_went_wrong(ben: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    services.ask_reset(email=ben.email, base_url="https://panel.example.com/")

    letters.send_due()
    letters.send_due()

    letter = Letter.objects.get()
    assert (letter.tries, letter.sent_at, letter.error) == (1, None, "ConnectionRefusedError")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    Letter.objects.update(due_at=letter.created_at)
    letters.send_due()
    letters.send_due()
    assert [message.to for message in mail.outbox] == [[ben.email]]
    assert Letter.objects.get().sent_at is not None


def test_roles_are_seeded_and_the_admin_of_a_command_is_one(db: None) -> None:
    admin = services.create_admin(email="root@example.com", password=PASSWORD)

    assert admin.role == Role.ADMIN
    assert User.objects.get(pk=admin.pk).is_staff
