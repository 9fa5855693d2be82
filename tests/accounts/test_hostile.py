"""What attackers try on the doors: guessing, forging, swapping, flooding, smuggling."""

from __future__ import annotations

import base64
import json
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import identify_hasher, make_password
from django.test import Client
from rest_framework.test import APIClient

from accounts import services, tokens
from accounts.models import AuditEvent, Session, User
from tests.conftest import PASSWORD

Api = Callable[[User | None], APIClient]
Browser = Callable[[User | None], Client]
ARGON2 = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]

pytestmark = pytest.mark.django_db


def login(email: str, password: str, **extra: Any) -> Any:
    return APIClient().post("/auth/login", {"email": email, "password": password}, **extra)


def page_login(email: str, password: str, **extra: Any) -> Any:
    return Client().post("/login/", {"username": email, "password": password}, **extra)


# Guessing ------------------------------------------------------------


@pytest.fixture
def _few_failures(settings: Any) -> None:
    settings.RATES = {}
    settings.AXES_FAILURE_LIMIT = 3


@pytest.mark.usefixtures("_few_failures")
def test_wrong_passwords_lock_the_pair_of_person_and_address_whatever_the_door(ben: User, dov: User) -> None:
    assert [login(ben.email, f"wrong {n}").status_code for n in range(2)] == [401, 401]
    page_login("BEN@example.com", "wrong too")

    locked = login(ben.email, PASSWORD)
    by_page = page_login(ben.email, PASSWORD)
    assert (locked.status_code, by_page.status_code) == (429, 429)
    assert int(locked["Retry-After"]) > 0
    assert int(by_page["Retry-After"]) > 0
    assert locked.json()["errors"][0]["code"] == "locked"
    assert "_auth_user_id" not in by_page.client.session
    # Neither the address for others, nor the person elsewhere: nobody can lock somebody out.
    assert login(dov.email, PASSWORD).status_code == 200
    assert login(ben.email, PASSWORD, REMOTE_ADDR="203.0.113.7").status_code == 200
    spoofed = login(ben.email, PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.8")
    assert spoofed.status_code == 429
    assert set(AuditEvent.objects.filter(object_id=str(ben.uid)).values_list("action", flat=True)) >= {
        "auth.login_failed",
        "auth.locked",
        "auth.login",
    }


@pytest.mark.usefixtures("_few_failures")
def test_an_unknown_person_is_locked_in_the_same_way(ben: User) -> None:
    known = [(a := login(ben.email, "wrong")).status_code for _ in range(5)]
    unknown = [(b := login("nobody@example.com", "wrong")).status_code for _ in range(5)]

    assert known == unknown
    assert a.json() == b.json()
    events = AuditEvent.objects.filter(action__startswith="auth.lo", object_id="")
    assert events.exists()
    assert not any("nobody" in json.dumps([event.changes, event.object_name]) for event in events)


@pytest.mark.usefixtures("_few_failures")
def test_a_right_password_forgets_the_wrong_ones(ben: User) -> None:
    for _ in range(3):
        assert login(ben.email, "wrong").status_code == 401
        assert login(ben.email, "wrong").status_code == 401
        assert login(ben.email, PASSWORD).status_code == 200


def test_signing_in_goes_on_without_the_cache(ben: User, settings: Any) -> None:
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away, "login": {**away, "OPTIONS": {"IGNORE_EXCEPTIONS": True}}}

    assert login(ben.email, "wrong").status_code == 401
    assert login(ben.email, PASSWORD).status_code == 200


@pytest.fixture
def _real_hashes(settings: Any, ben: User) -> None:
    settings.PASSWORD_HASHERS = ARGON2
    settings.RATES = {}
    settings.AXES_ENABLED = False
    ben.set_password(PASSWORD)
    ben.save()


@pytest.mark.usefixtures("_real_hashes")
def test_the_time_of_an_answer_does_not_tell_whether_the_email_is_known(ben: User) -> None:
    def seconds(email: str) -> float:
        begun = time.perf_counter()
        assert login(email, "not the password").status_code == 401
        return time.perf_counter() - begun

    known, unknown = [], []
    for _ in range(25):
        known.append(seconds(ben.email))
        unknown.append(seconds("nobody@example.com"))

    # One hash is tens of milliseconds, and everything else a few: without it the ratio is far below a half.
    assert 0.6 < statistics.median(unknown) / statistics.median(known) < 1.67


def test_asking_for_a_letter_answers_the_same_for_everybody(ben: User) -> None:
    answers = [
        APIClient().post("/auth/password/forgot", {"email": email}) for email in (ben.email, "nobody@example.com")
    ]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content


def test_passwords_are_kept_by_argon2_and_old_ones_are_renewed_at_sign_in(settings: Any, ben: User) -> None:
    settings.PASSWORD_HASHERS = ARGON2
    assert make_password(PASSWORD).startswith("argon2$argon2id$")
    ben.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    ben.save()

    assert login(ben.email, PASSWORD).status_code == 200

    ben.refresh_from_db()
    assert identify_hasher(ben.password).algorithm == "argon2"


# Letters ------------------------------------------------------------


def test_a_reset_works_once_in_its_hour_and_ends_every_sign_in(api: Api, ben: User) -> None:
    client = api(ben)
    token = tokens.letter(ben, tokens.RESET)
    body = {"token": token, "password": "a quite different one"}
    weak = APIClient().post("/auth/password/reset", {**body, "password": "short"})
    wrong_purpose = APIClient().post("/auth/password/reset", {**body, "token": tokens.letter(ben, tokens.INVITATION)})

    assert {error["attr"] for error in weak.json()["errors"]} == {"password"}
    assert wrong_purpose.json()["errors"][0]["attr"] == "token"
    assert APIClient().post("/auth/password/reset", body).status_code == 204
    assert APIClient().post("/auth/password/reset", body).status_code == 400
    assert client.get("/auth/me").status_code == 401
    assert login(ben.email, PASSWORD).status_code == 401
    assert login(ben.email, "a quite different one").status_code == 200


def test_a_changed_email_or_password_ends_a_letter(ben: User) -> None:
    first = tokens.letter(ben, tokens.RESET)
    services.change_password(by=ben, current=PASSWORD, new="a quite different one", keep=None)
    second = tokens.letter(User.objects.get(pk=ben.pk), tokens.RESET)
    User.objects.filter(pk=ben.pk).update(email="elsewhere@example.com")

    assert tokens.addressee(first, tokens.RESET) is None
    assert tokens.addressee(second, tokens.RESET) is None


def test_changing_the_password_needs_the_old_one_and_keeps_this_sign_in(api: Api, ben: User) -> None:
    client, other = api(ben), api(ben)
    body = {"current_password": PASSWORD, "new_password": "a quite different one"}

    wrong = client.post("/auth/password", {**body, "current_password": "guess"})
    weak = client.post("/auth/password", {**body, "new_password": "ben@example.com"})
    assert (wrong.status_code, wrong.json()["errors"][0]["attr"]) == (400, "current_password")
    assert {error["attr"] for error in weak.json()["errors"]} == {"new_password"}
    assert client.post("/auth/password", body).status_code == 204
    assert client.get("/auth/me").status_code == 200
    assert other.get("/auth/me").status_code == 401


# Tokens ------------------------------------------------------------


def forge(claims: dict[str, Any], key: str = "", algorithm: str | None = None, **header: Any) -> str:
    if algorithm:
        return jwt.encode(claims, key, algorithm=algorithm, headers=header or None)

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT', **header})}.{part(claims)}."


def test_forged_and_swapped_tokens_are_refused(ben: User) -> None:
    pair = tokens.open_with_tokens(ben, address=None, user_agent="")
    secret = str(django_settings.SECRET_KEY)
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    audience = claims["aud"]
    bad = {
        "alg none": forge(claims),
        "alg None": forge(claims, alg="None"),
        "no signature": pair.access.rpartition(".")[0] + ".",
        "another key": forge(claims, "x" * 50, "HS256"),
        "empty key": forge(claims, "\0" * 32, "HS256", kid="/dev/null"),
        "another algorithm": forge(claims, secret, "HS512"),
        "key named by a link": forge(claims, "x" * 50, "HS256", jku="https://evil.example/keys"),
        "refresh as access": pair.refresh,
        "sort changed": forge({**claims, "token_type": "refresh"}, secret, "HS256"),
        "other audience": forge({**claims, "aud": "elsewhere"}, secret, "HS256"),
        "no audience": forge({k: v for k, v in claims.items() if k != "aud"}, secret, "HS256"),
        "expired": forge({**claims, "exp": int(time.time()) - 60}, secret, "HS256"),
        "no end": forge({k: v for k, v in claims.items() if k != "exp"}, secret, "HS256"),
        "no sign-in": forge({k: v for k, v in claims.items() if k != "sid"}, secret, "HS256"),
        "unknown sign-in": forge({**claims, "sid": "0192e7a0-0000-7000-8000-000000000000"}, secret, "HS256"),
        "odd sign-in": forge({**claims, "sid": {"$ne": None}}, secret, "HS256"),
        "list of sign-ins": forge({**claims, "sid": [str(pair.session.uid)]}, secret, "HS256"),
        "claims are a list": "e30.W10.x",
        "junk": "a.b.c",
        "empty": "",
        "very long": "a" * 20_000,
    }

    for name, token in bad.items():
        answer = APIClient().get("/auth/me", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert answer.status_code == 401, name
        assert answer["WWW-Authenticate"].startswith("Bearer"), name
        assert "Traceback" not in answer.content.decode(), name
    refreshed = APIClient().post("/auth/refresh", {"refresh_token": pair.access})
    assert refreshed.status_code == 401
    good = forge(claims, secret, "HS256")
    assert audience == "model-control-panel"
    assert APIClient().get("/auth/me", HTTP_AUTHORIZATION=f"Bearer {good}").status_code == 200


def test_a_token_says_nothing_of_rights_and_no_row_holds_one(ben: User) -> None:
    pair = tokens.open_with_tokens(ben, address=None, user_agent="")

    claims = jwt.decode(pair.access, options={"verify_signature": False})

    assert set(claims) == {"token_type", "exp", "iat", "jti", "sid", "aud"}
    row = {name: str(value) for name, value in Session.objects.values().get(pk=pair.session.pk).items()}
    assert not any(part in " ".join(row.values()) for part in (pair.access, pair.refresh))


def test_other_schemes_and_doubled_headers_are_no_way_in(ben: User) -> None:
    pair = tokens.open_with_tokens(ben, address=None, user_agent="")

    for header in (pair.access, f"Basic {pair.access}", f"Token {pair.access}", f"Bearer {pair.access} x", "Bearer"):
        assert APIClient().get("/auth/me", HTTP_AUTHORIZATION=header).status_code == 401
    mixed = APIClient().get("/auth/me", HTTP_AUTHORIZATION="Bearer junk", HTTP_X_API_KEY="mcp_junk.junk")
    assert mixed.status_code == 401


def test_old_sign_ins_are_forgotten(ben: User) -> None:
    pair = tokens.open_with_tokens(ben, address=None, user_agent="")
    Session.objects.filter(pk=pair.session.pk).update(expires_at="2001-01-01T00:00:00Z")

    tokens.forget_old()

    assert not Session.objects.filter(pk=pair.session.pk).exists()


# Cookies, other sites ------------------------------------------------------------


def test_a_write_by_cookie_needs_the_csrf_token_of_its_own_page(ben: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ben)
    body = {"slug": "one", "name": "One", "kind": "llm"}

    bare = client.post("/api/v1/definitions", body, content_type="application/json")
    token = client.get("/definitions/").cookies["csrftoken"].value
    foreign = client.post(
        "/api/v1/definitions",
        body,
        content_type="application/json",
        HTTP_X_CSRFTOKEN=token,
        HTTP_ORIGIN="https://evil.example",
    )
    own = client.post("/api/v1/definitions", body, content_type="application/json", HTTP_X_CSRFTOKEN=token)

    assert (bare.status_code, foreign.status_code, own.status_code) == (403, 403, 201)
    assert client.post("/logout/").status_code == 403
    assert client.post("/login/", {"username": ben.email, "password": PASSWORD}).status_code == 403


def test_no_get_changes_anything_by_a_cookie(browser: Browser, ben: User) -> None:
    page = browser(ben)

    for path in ("/logout/", "/auth/logout", "/auth/ws-ticket", "/auth/password"):
        assert page.get(path).status_code == 405
    assert page.get("/auth/me").status_code == 200


def test_other_origins_get_no_answer_they_may_read(settings: Any, api: Api, ben: User) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    client = api(ben)

    foreign = client.get("/auth/me", HTTP_ORIGIN="https://evil.example")
    friend = client.get("/auth/me", HTTP_ORIGIN="https://app.example.com")
    asked = client.options(
        "/api/v1/definitions", HTTP_ORIGIN="https://app.example.com", HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST"
    )
    page = Client().get("/login/", HTTP_ORIGIN="https://app.example.com")

    for name in ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"):
        assert name not in foreign
        assert name not in page
    for nearly in ("https://app.example.com.evil.example", "http://app.example.com", "null"):
        assert "Access-Control-Allow-Origin" not in client.get("/auth/me", HTTP_ORIGIN=nearly)
    assert friend["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Access-Control-Allow-Credentials" not in friend
    assert "RateLimit" in friend["Access-Control-Expose-Headers"]
    assert asked.status_code == 200


@pytest.mark.parametrize("path", ["/login/", "/", "/nothing/", "/auth/me", "/api/v1/nothing", "/openapi.json"])
def test_every_answer_carries_the_headers_that_confine_it(browser: Browser, ben: User, path: str) -> None:
    answer = browser(ben).get(path)

    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


# Smuggling ------------------------------------------------------------


def test_line_breaks_forge_neither_headers_nor_log_lines(api: Api, ben: User, caplog: pytest.LogCaptureFixture) -> None:
    evil = "x\r\nSet-Cookie: a=b"
    with caplog.at_level(logging.INFO):
        answer = api(ben).get("/auth/me", HTTP_X_REQUEST_ID="abcdefgh\r\nX-Evil: 1")
        api(None).post("/auth/login", {"email": f"{evil}@example.com", "password": "x"})
        page_login(f"{evil}@example.com", "x")
        redirected = Client().get("/definitions/%0d%0aSet-Cookie:%20a=b/")

    assert "\n" not in answer["X-Request-ID"]
    assert "evil" not in answer["X-Request-ID"].lower()
    assert "Set-Cookie: a=b" not in caplog.text
    assert not any("\n" in value or "\r" in value for _, value in redirected.items())


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(ben: User, target: str) -> None:
    answer = Client().post("/login/", {"username": ben.email, "password": PASSWORD, "next": target})

    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith(("//", "/\\"))


def test_a_sign_in_gets_a_new_cookie(ben: User) -> None:
    client = Client()
    client.cookies["sessionid"] = "chosenbyanattacker00000000000000"

    client.post("/login/", {"username": ben.email, "password": PASSWORD})

    assert client.cookies["sessionid"].value != "chosenbyanattacker00000000000000"
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
