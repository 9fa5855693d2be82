"""Signing in and out, the pages for errors, and who is let in where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import AuditEvent, User
from tests.conftest import PASSWORD

Browser = Callable[[User | None], Client]
PAGES = [
    "dashboard",
    "run-list",
    "workflow-list",
    "definition-list",
    "connection-list",
    "search",
    "account",
    "account-keys",
]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_sends_strangers_to_the_sign_in_and_back(browser: Browser, db: None, name: str) -> None:
    answer = browser(None).get(reverse(name))

    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('login')}?next={reverse(name)}"


@pytest.mark.parametrize("name", PAGES)
def test_htmx_is_sent_to_the_sign_in_as_a_whole(browser: Browser, db: None, name: str) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/runs/?mine=on"}

    answer = browser(None).get(reverse(name), headers=headers)

    assert answer.status_code == 401
    assert answer["HX-Redirect"] == f"{reverse('login')}?next=/runs/%3Fmine%3Don"


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_panel_shows_every_list_to_a_viewer(browser: Browser, cyd: User, name: str) -> None:
    answer = browser(cyd).get(reverse(name))

    assert answer.status_code == 200
    assert "Cyd" in answer.content.decode()
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]


def sign_in(client: Client, **fields: str) -> Any:
    return client.post(reverse("login"), {"username": "ben@example.com", "password": PASSWORD, **fields})


def test_signing_in_leads_to_the_page_that_was_asked_for_and_is_recorded(ben: User) -> None:
    client = Client()

    answer = sign_in(client, username="BEN@example.com", next="/runs/")

    assert (answer.status_code, answer["Location"]) == (302, "/runs/")
    assert AuditEvent.objects.filter(action="auth.login", actor=ben).count() == 1
    assert client.session.get_expire_at_browser_close()


def test_who_asks_to_stay_stays(ben: User) -> None:
    client = Client()

    sign_in(client, stay="on")

    assert not client.session.get_expire_at_browser_close()
    assert client.session.get_expiry_age() == django_settings.SESSION_COOKIE_AGE


def test_a_wrong_pair_is_told_without_saying_which_half_was_wrong(ben: User) -> None:
    wrong = sign_in(Client(), password="not it at all")
    unknown = sign_in(Client(), username="nobody@example.com")

    assert wrong.status_code == unknown.status_code == 200
    for answer in (wrong, unknown):
        assert "E-mail or password is wrong." in answer.content.decode()
        assert "sessionid" not in answer.cookies


def test_another_site_is_never_where_the_sign_in_leads(ben: User) -> None:
    answer = sign_in(Client(), next="https://evil.example/")

    assert answer["Location"] == reverse("dashboard")


def test_signing_out_is_a_post_and_ends_the_session(browser: Browser, ben: User) -> None:
    client = browser(ben)

    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout"))["Location"] == reverse("login")
    assert client.get(reverse("dashboard")).status_code == 302


def test_only_staff_is_shown_the_way_to_the_admin(browser: Browser, ada: User, cyd: User) -> None:
    ada.is_staff = True
    ada.save()

    assert reverse("admin:index") in browser(ada).get(reverse("definition-list")).content.decode()
    assert reverse("admin:index") not in browser(cyd).get(reverse("definition-list")).content.decode()


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_an_error_page_needs_neither_user_nor_database(status: int) -> None:
    # Without the db mark, pytest-django refuses any query.
    request = RequestFactory().get("/nothing/")

    page = render_to_string("error.html", {"status": status, "title": "Oh <no>"}, request)

    assert "Oh &lt;no&gt;" in page
    assert str(status) in page


def test_an_unknown_address_is_a_page_to_people(browser: Browser, cyd: User) -> None:
    answer = browser(cyd).get("/nothing/here/")

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_a_form_without_its_token_is_refused_in_our_words(ben: User) -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("login"), {"username": "x", "password": "y"})

    assert answer.status_code == 403
    assert "This form stood open for too long" in answer.content.decode()


def test_the_navigation_costs_the_same_however_many_people_there_are(
    browser: Browser, cyd: User, django_assert_max_num_queries: Any
) -> None:
    client = browser(cyd)

    with django_assert_max_num_queries(8):
        client.get(reverse("definition-list"))
    assert connection.vendor == "postgresql"
