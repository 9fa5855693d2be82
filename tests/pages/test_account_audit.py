"""The audit page: filters, diffs, export, the check of the chain."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit, chain, services
from accounts.models import AuditEvent, User


def text(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture
def admin(browser: Any, ada: User) -> Client:
    client: Client = browser(ada)
    return client


def listed(admin: Client, **query: str) -> list[str]:
    """Return the actions of the acts that the page lists."""
    page = text(admin.get(reverse("audit"), query)).partition('id="list"')[2]
    return re.findall(r'\?action=[^"]*">([^<]+)<', page)


@pytest.mark.parametrize("name", ["audit", "audit-check"])
def test_only_admins_come_in(browser: Any, ben: User, name: str) -> None:
    assert browser(ben).get(reverse(name)).status_code == 403
    assert browser(ben).post(reverse(name)).status_code in (403, 405)
    assert browser(None).get(reverse(name))["Location"].startswith(reverse("login"))
    assert reverse("audit") not in text(browser(ben).get(reverse("account")))


def test_an_act_is_shown_with_who_what_and_before_and_after(admin: Client, ada: User, ben: User) -> None:
    services.change_person(by=ada, user=ben, full_name="<b>Benedict</b>", role_name="Viewer")

    page = text(admin.get(reverse("audit")))

    assert "user.update" in page
    assert "Ada" in page
    assert "before: </span>Ben</del>" in page
    assert "after: </span>&lt;b&gt;Benedict&lt;/b&gt;</ins>" in page
    assert "<b>Benedict" not in page


def test_acts_are_narrowed_by_who_what_thing_and_time(admin: Client, ada: User, ben: User) -> None:
    audit.log(ada, "user.update", ben)
    audit.log(ben, "team.create", type="team", id="7", name="Data")
    audit.log(None, "auth.login_failed", type="user")

    assert listed(admin) == ["auth.login_failed", "team.create", "user.update"]
    assert listed(admin, who="BEN@example.com") == ["team.create"]
    assert listed(admin, action="user.update") == ["user.update"]
    assert listed(admin, object_type="team", object_id="7") == ["team.create"]
    assert listed(admin, object_type="user") == ["auth.login_failed", "user.update"]
    assert listed(admin, after="2000-01-01T00:00") == ["auth.login_failed", "team.create", "user.update"]
    assert listed(admin, before="2000-01-01T00:00") == []
    assert "Nothing matches" in text(admin.get(reverse("audit"), {"action": "no.such"}))


@pytest.mark.parametrize(
    ("query", "said"),
    [({"who": "nobody@example.com"}, "Nobody has this e-mail."), ({"after": "then"}, "Enter a valid date/time.")],
)
def test_a_filter_that_is_not_understood_is_said(admin: Client, query: dict[str, str], said: str) -> None:
    page = text(admin.get(reverse("audit"), query))

    assert "Not understood" in page
    assert said in page


def test_htmx_gets_the_list_alone(admin: Client, ada: User) -> None:
    audit.log(ada, "user.update", ada)

    part = text(admin.get(reverse("audit"), headers={"HX-Request": "true"}))

    assert "user.update" in part
    assert "<html" not in part


def test_older_acts_follow_page_by_page(admin: Client, ada: User) -> None:
    for number in range(120):
        audit.log(ada, f"act.n{number}")

    seen: list[str] = []
    address = reverse("audit")
    while address:
        page = text(admin.get(address))
        seen += re.findall(r'\?action=[^"]*">([^<]+)<', page)
        found = re.search(r'href="([^"]*older=\d+)"', page)
        address = reverse("audit") + unescape(found[1]) if found else ""

    assert seen == [f"act.n{number}" for number in reversed(range(120))]


@pytest.mark.django_db(transaction=True)
def test_the_export_holds_what_the_page_is_narrowed_to(admin: Client, ada: User, ben: User) -> None:
    audit.log(ada, "user.update", ben)
    audit.log(ben, "team.create", type="team", id="7", name="Data")
    query = {"who": "ben@example.com", "after": "2000-01-01T00:00", "object_type": "team"}

    page = text(admin.get(reverse("audit"), query))
    links = [unescape(link) for link in re.findall(r'href="([^"]+)" download', page)]

    assert len(links) == 2
    for link in links:
        answer = admin.get(link)
        assert answer.status_code == 200, link
        assert "as=" in link
    assert AuditEvent.objects.filter(action="audit.export", actor=ada).count() == 2


def test_the_check_says_that_the_chain_is_whole_and_its_head(admin: Client, ada: User) -> None:
    audit.log(ada, "user.update", ada)
    chain.seal()
    assert "Whole" not in text(admin.get(reverse("audit")))

    page = text(admin.post(reverse("audit-check")))
    part = text(admin.post(reverse("audit-check"), headers={"HX-Request": "true"}))

    verdict = chain.verify()
    for shown in (page, part):
        assert "Whole" in shown
        assert verdict.head in shown
    assert "<html" not in part
    assert admin.get(reverse("audit-check"))["Location"] == reverse("audit")


def test_a_changed_event_is_found_by_the_check(admin: Client, ada: User) -> None:
    event = audit.log(ada, "user.update", ada)
    chain.seal()
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute("update accounts_audit_events set action = 'user.nothing' where id = %s", [event.pk])
        cursor.execute("set local session_replication_role = origin")

    page = text(admin.post(reverse("audit-check")))

    assert "The trail was changed." in page
    assert "Link 1 is the first that is not right" in page


def test_a_longer_trail_costs_no_more_queries(admin: Client, ada: User, ben: User) -> None:
    audit.log(ada, "user.update", ben)
    chain.seal()
    first = _queries(admin)
    for number in range(30):
        audit.log(ben if number % 2 else ada, "user.update", ben, changes={"n": [number, number + 1]})
    chain.seal()

    assert _queries(admin) == first


def _queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(reverse("audit")).status_code == 200
    return len(seen)


def test_odd_and_long_changes_are_drawn(admin: Client, ada: User) -> None:
    audit.log(
        ada, "odd.one", changes={"plain": 3, "list": [["a"], ["a", "b"]], "deep": [None, {"x": 1}], "long": "y" * 999}
    )

    page = text(admin.get(reverse("audit")))

    assert "after: </span>3</ins>" in page
    assert "after: </span>a, b</ins>" in page
    assert "{&quot;x&quot;: 1}" in page
    assert "y" * 301 not in page
