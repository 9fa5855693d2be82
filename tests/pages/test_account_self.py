"""One's own account: name, e-mail, password, sign-ins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session as Cookie
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import tokens
from accounts.models import AuditEvent, Session, User
from accounts.views import devices
from mcp_site.core import clock
from tests.conftest import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = "another long password"


def signed_in(user: User, agent: str = FIREFOX) -> Client:
    """Return a browser in which `user` signed in on the page."""
    client = Client(headers={"user-agent": agent})
    answer = client.post(reverse("login"), {"username": user.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def text(answer: Any) -> str:
    return str(answer.content.decode())


def row_of(client: Client) -> Session:
    return Session.objects.get(uid=client.session["sid"])


def test_the_page_says_who_one_is_and_marks_this_sign_in(ben: User) -> None:
    signed_in(ben, "curl/8.5")
    client = signed_in(ben)

    page = text(client.get(reverse("account")))

    assert "ben@example.com" in page
    assert "Firefox on Linux" in page
    assert "curl/8.5" in page
    assert page.count("this one") == 1
    assert page.count(reverse("account-session-end", args=[row_of(client).uid])) == 0


def test_a_cookie_of_before_sign_ins_were_rows_still_sees_the_page(browser: Any, ben: User) -> None:
    page = text(browser(ben).get(reverse("account")))

    assert "ends with its cookie" in page
    assert "End all others" not in page


@pytest.mark.parametrize("name", ["account-name", "account-email", "account-password", "account-sessions-end"])
def test_reloading_a_refused_form_leads_back_and_strangers_to_the_sign_in(browser: Any, ben: User, name: str) -> None:
    assert browser(ben).get(reverse(name))["Location"] == reverse("account")
    assert browser(None).post(reverse(name))["Location"].startswith(reverse("login"))


def test_the_name_is_saved_and_a_bad_one_refused_beside_its_field(ben: User) -> None:
    client = signed_in(ben)

    saved = client.post(reverse("account-name"), {"full_name": " Benedict <b> "}, follow=True)
    refused = client.post(reverse("account-name"), {"full_name": "Ben\u202eeht"})

    ben.refresh_from_db()
    assert ben.full_name == "Benedict <b>"
    assert "Benedict &lt;b&gt;" in text(saved)
    assert refused.status_code == 400
    assert "control characters" in text(refused)
    assert 'aria-invalid="true"' in text(refused)


def test_another_email_needs_the_password(ben: User, cyd: User) -> None:
    client = signed_in(ben)
    change = reverse("account-email")

    wrong = client.post(change, {"email": "b@example.com", "current_password": "no"})
    taken = client.post(change, {"email": "CYD@example.com", "current_password": PASSWORD})
    ben.refresh_from_db()
    assert ben.email == "ben@example.com"
    right = client.post(change, {"email": "B@example.com", "current_password": PASSWORD}, follow=True)

    ben.refresh_from_db()
    assert (wrong.status_code, taken.status_code, ben.email) == (400, 400, "b@example.com")
    assert "Somebody has this e-mail already." in text(taken)
    assert PASSWORD not in text(taken)
    assert "Sign in as b@example.com from now on." in text(right)


def test_a_new_password_ends_all_sign_ins_but_this_one(ben: User) -> None:
    other, client = signed_in(ben, "curl/8.5"), signed_in(ben)
    tokens.open_with_tokens(ben, address=None, user_agent="script")
    before = client.session.session_key

    answer = client.post(reverse("account-password"), {"current_password": PASSWORD, "new_password": NEW}, follow=True)

    assert "Your password is changed." in text(answer)
    assert other.get(reverse("account")).status_code == 302
    row = row_of(client)
    assert list(Session.objects.live()) == [row]
    assert row.cookie_key == client.session.session_key != before
    ben.refresh_from_db()
    assert ben.check_password(NEW)


def test_a_sign_in_that_changed_its_password_can_still_be_ended(ben: User) -> None:
    client = signed_in(ben)
    client.post(reverse("account-password"), {"current_password": PASSWORD, "new_password": NEW})
    other = Client()
    other.post(reverse("login"), {"username": ben.email, "password": NEW})

    other.post(reverse("account-session-end", args=[row_of(client).uid]))

    assert client.get(reverse("account")).status_code == 302
    assert Cookie.objects.count() == 1


@pytest.mark.parametrize(
    ("current", "new", "said"),
    [
        ("wrong", NEW, "It is not your password."),
        (PASSWORD, "short", "at least 12 characters"),
        (PASSWORD, "ben@example.com", "too similar"),
        ("", "", "This field is required."),
    ],
)
def test_a_refused_password_says_why_and_changes_nothing(ben: User, current: str, new: str, said: str) -> None:
    client = signed_in(ben)

    answer = client.post(reverse("account-password"), {"current_password": current, "new_password": new})

    assert answer.status_code == 400
    assert said in text(answer)
    assert client.get(reverse("account")).status_code == 200


@pytest.mark.parametrize("name", ["account-email", "account-password"])
def test_passwords_are_not_tried_without_end(ben: User, settings: Any, name: str) -> None:
    client = signed_in(ben)
    settings.RATES = {**settings.RATES, "login": 2}
    given = {"email": "x@example.com", "current_password": "no", "new_password": NEW}

    answers = [client.post(reverse(name), given) for _ in range(3)]

    assert [answer.status_code for answer in answers][-1] == 429
    assert int(answers[-1]["Retry-After"]) > 0
    assert "Too many tries from here." in text(answers[-1])


def test_one_sign_in_is_ended_and_recorded(ben: User) -> None:
    other, client = signed_in(ben, "curl/8.5"), signed_in(ben)

    answer = client.post(reverse("account-session-end", args=[row_of(other).uid]), follow=True)

    assert "curl/8.5 is signed out." in text(answer)
    assert other.get(reverse("account")).status_code == 302
    assert AuditEvent.objects.filter(action="auth.end_session", actor=ben).count() == 1


def test_ending_this_one_is_signing_out(ben: User) -> None:
    client = signed_in(ben)
    row = row_of(client)

    answer = client.post(reverse("account-session-end", args=[row.uid]))

    row.refresh_from_db()
    assert answer["Location"] == reverse("login")
    assert row.end_reason == "logout"
    assert client.get(reverse("account")).status_code == 302


def test_nobody_ends_sign_ins_of_others(ben: User, cyd: User) -> None:
    theirs = row_of(signed_in(cyd))

    assert signed_in(ben).post(reverse("account-session-end", args=[theirs.uid])).status_code == 404
    theirs.refresh_from_db()
    assert theirs.is_live()


def test_all_others_end_at_once(ben: User, cyd: User) -> None:
    others = [signed_in(ben), signed_in(ben)]
    theirs, client = signed_in(cyd), signed_in(ben)

    answer = client.post(reverse("account-sessions-end"), follow=True)

    assert "2 sign-ins ended." in text(answer)
    assert [other.get(reverse("account")).status_code for other in others] == [302, 302]
    assert theirs.get(reverse("account")).status_code == 200
    assert "There was no other." in text(client.post(reverse("account-sessions-end"), follow=True))


def test_many_sign_ins_cost_no_more_queries_and_have_pages(ben: User) -> None:
    signed_in(ben)
    client = signed_in(ben)
    client.get(reverse("account"))
    first = _queries(client)
    later = clock.now() + timedelta(days=1)
    Session.objects.bulk_create(
        Session(user=ben, kind="token", user_agent=f"script/{number}", expires_at=later) for number in range(30)
    )

    assert _queries(client) == first
    assert "script/0" in text(client.get(reverse("account"), {"page": 2}))
    assert "this one" not in text(client.get(reverse("account"), {"page": 2}))


def _queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(reverse("account")).status_code == 200
    return len(seen)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("python-requests/2.32", "python-requests/2.32"),
        ("", "Unknown program"),
    ],
)
def test_a_device_is_named_as_people_know_it(agent: str, words: str) -> None:
    assert devices.words(agent) == words


def test_the_navigation_leads_there(browser: Callable[[User | None], Client], cyd: User) -> None:
    assert f'href="{reverse("account")}"' in text(browser(cyd).get(reverse("definition-list")))
