"""The share dialog on the pages of definitions, workflows and connections."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import access, services
from accounts.models import Grant, Permission, User
from connections import services as connections
from tests.conftest import PASSWORD

HTMX = {"HX-Request": "true"}


def text(answer: Any) -> str:
    return str(answer.content.decode())


@pytest.fixture(params=["definition", "workflow", "connection"])
def thing(request: pytest.FixtureRequest, prompt: Any, workflow: Any, ben: User) -> Any:
    """Something private of Ben's."""
    made = {"definition": prompt, "workflow": workflow}.get(request.param)
    if made is None:
        config = {"value": "not for others"}
        made = connections.create_connection(by=ben, slug="token", name="Token", type="secret", config=config)
    made.visibility = "private"
    made.save()
    return made


def address(thing: Any, name: str = "", *more: Any) -> str:
    return reverse(f"{thing._meta.model_name}-sharing{name}", args=[thing.slug, *more])


def page_of(thing: Any) -> str:
    return reverse(f"{thing._meta.model_name}-detail", args=[thing.slug])


def test_the_button_is_there_for_those_who_may_edit(browser: Any, thing: Any, ada: User, ben: User, dov: User) -> None:
    services.share(by=ben, thing=thing, permission=Permission.RUN, user=dov)

    shown = [address(thing) in text(browser(person).get(page_of(thing))) for person in (ada, ben, dov)]

    assert shown == [True, True, False]


def test_others_neither_see_nor_change_shares(browser: Any, thing: Any, ben: User, cyd: User, dov: User) -> None:
    grant = services.share(by=ben, thing=thing, permission=Permission.RUN, user=dov)
    paths = [address(thing), address(thing, "-change", grant.uid), address(thing, "-end", grant.uid)]
    given = {"receiver": f"user:{cyd.uid}", "permission": "edit"}

    for path in paths:
        assert browser(cyd).post(path, given).status_code == 404
        assert browser(dov).post(path, given).status_code == 403
        assert browser(None).post(path, given)["Location"].startswith(reverse("login"))
    assert browser(dov).get(paths[0]).status_code == 403
    assert [one.permission for one in Grant.objects.all()] == ["run"]


def test_it_is_shared_changed_and_taken_back(browser: Any, thing: Any, ada: User, ben: User, dov: User) -> None:
    team = services.create_team(by=ada, name="Data", members=[dov.uid])
    client: Client = browser(ben)
    assert "It is shared with nobody yet." in text(client.get(address(thing)))

    part = client.post(address(thing), {"receiver": f"team:{team.pk}", "permission": "view"}, headers=HTMX)
    grant = Grant.objects.get()
    levels = [access.level(dov, thing)]
    client.post(address(thing, "-change", grant.uid), {"permission": "edit"})
    levels.append(access.level(dov, thing))
    page = client.post(address(thing, "-end", grant.uid), follow=True)
    levels.append(access.level(dov, thing))

    assert "<html" not in text(part)
    assert "data-changed" in text(part)
    assert "Data" in text(part)
    assert levels == [access.Level.VIEW, access.Level.EDIT, access.Level.NONE]
    assert "It is shared with nobody yet." in text(page)


def test_a_refusal_stands_beside_its_field(browser: Any, thing: Any, ben: User, dov: User) -> None:
    client: Client = browser(ben)
    services.share(by=ben, thing=thing, permission=Permission.VIEW, user=dov)

    answers = [
        (client.post(address(thing), {"permission": "view"}), 400, "Choose a person or a team."),
        (client.post(address(thing), {"receiver": f"user:{ben.uid}", "permission": "view"}), 400, "It owns it already"),
        (client.post(address(thing), {"receiver": "user:x", "permission": "view"}), 400, "Select a valid choice."),
        (client.post(address(thing), {"receiver": f"user:{dov.uid}", "permission": "own"}), 400, "Select a valid"),
        (client.post(address(thing), {"receiver": f"user:{dov.uid}", "permission": "run"}), 409, "shared with them"),
    ]

    for answer, status, said in answers:
        assert (answer.status_code, said in text(answer)) == (status, True), said
    assert Grant.objects.count() == 1


def test_roles_are_no_teams_and_emails_stay_with_admins(browser: Any, thing: Any, ben: User, dov: User) -> None:
    page = text(browser(ben).get(address(thing), headers=HTMX))

    assert ">Dov<" in page
    assert "dov@example.com" not in page
    assert ">Admin<" not in page


def test_people_are_found_by_name(browser: Any, thing: Any, ben: User, cyd: User, dov: User) -> None:
    page = text(browser(ben).get(address(thing), {"search": "dov"}, headers=HTMX))

    assert ">Dov<" in page
    assert ">Cyd<" not in page


def test_shares_of_another_thing_are_not_reached(
    browser: Any, prompt: Any, workflow: Any, ben: User, dov: User
) -> None:
    grant = services.share(by=ben, thing=workflow, permission=Permission.VIEW, user=dov)

    assert browser(ben).post(address(prompt, "-end", grant.uid)).status_code == 404
    assert Grant.objects.count() == 1


def test_who_ends_their_own_right_is_led_away(browser: Any, thing: Any, ben: User, dov: User) -> None:
    grant = services.share(by=ben, thing=thing, permission=Permission.EDIT, user=dov)

    answer = browser(dov).post(address(thing, "-end", grant.uid), headers=HTMX)

    assert answer["HX-Redirect"] == "/"


def test_more_shares_cost_no_more_queries(browser: Any, thing: Any, ben: User, dov: User) -> None:
    client: Client = browser(ben)
    services.share(by=ben, thing=thing, permission=Permission.VIEW, user=dov)
    first = _queries(client, thing)
    for number in range(5):
        person = User.objects.create_user(f"p{number}@example.com", PASSWORD, full_name=f"P{number}")
        services.share(by=ben, thing=thing, permission=Permission.VIEW, user=person)

    assert _queries(client, thing) == first


def _queries(client: Client, thing: Any) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address(thing)).status_code == 200
    return len(seen)
