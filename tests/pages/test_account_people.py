"""People and teams, for Admins."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services
from accounts.models import AuditEvent, Letter, User
from tests.conftest import PASSWORD


def text(answer: Any) -> str:
    return str(answer.content.decode())


def shown(answer: Any) -> str:
    """Return the list of people, without the requests above it and the person in the navigation."""
    return text(answer).partition('id="list"')[2]


@pytest.fixture
def admin(browser: Any, ada: User) -> Client:
    client: Client = browser(ada)
    return client


@pytest.fixture
def eve(settings: Any, db: None) -> User:
    """Eve registered as Viewer and asks to be Editor."""
    settings.REGISTRATION, settings.SELF_REGISTRATION_ROLES = "open", ["Viewer"]
    return services.register(email="eve@example.com", password=PASSWORD, full_name="Eve", role_name="Editor")


POSTS = ["user-change", "user-decide", "user-remove"]


@pytest.mark.parametrize("name", ["users", "user-invite", "teams"])
def test_only_admins_come_in(browser: Any, ben: User, cyd: User, name: str) -> None:
    for person in (ben, cyd):
        client = browser(person)
        assert client.get(reverse(name)).status_code == 403
        assert client.post(reverse(name), {"email": "x@example.com", "role_name": "Admin"}).status_code in (403, 405)
        assert reverse("users") not in text(client.get(reverse("account")))
    assert browser(None).get(reverse(name))["Location"].startswith(reverse("login"))
    assert User.objects.count() == 2


@pytest.mark.parametrize("name", POSTS)
def test_only_admins_change_people(browser: Any, ben: User, cyd: User, name: str) -> None:
    given = {"role_name": "Admin", "decision": "grant"}

    assert browser(ben).post(reverse(name, args=[cyd.uid]), given).status_code == 403
    assert browser(ben).post(reverse(name, args=[ben.uid]), given).status_code == 403
    cyd.refresh_from_db()
    assert (cyd.role, cyd.is_active) == ("Viewer", True)


@pytest.mark.parametrize("name", POSTS)
def test_a_reload_leads_back_and_nobody_is_404(admin: Client, ben: User, name: str) -> None:
    assert admin.get(reverse(name, args=[ben.uid]))["Location"] == reverse("users")
    assert admin.post(reverse(name, args=["0190f000-0000-7000-8000-000000000000"])).status_code == 404


def test_the_list_is_narrowed_by_text_role_and_state(admin: Client, ada: User, ben: User, cyd: User) -> None:
    services.change_person(by=ada, user=cyd, is_active=False)
    services.invite(by=ada, email="eve@example.com", full_name="", role_name="Editor", base_url="http://x")

    def found(**query: str) -> set[str]:
        page = shown(admin.get(reverse("users"), query))
        return {name for name in ("ada", "ben", "cyd", "eve") if f"{name}@example.com" in page}

    assert found() == {"ada", "ben", "cyd", "eve"}
    assert found(search="BEN@") == {"ben"}
    assert found(role="Editor") == {"ben", "eve"}
    assert found(state="active") == {"ada", "ben"}
    assert found(state="pending") == {"eve"}
    assert found(state="off") == {"cyd"}
    assert "Nothing matches" in text(admin.get(reverse("users"), {"search": "zzz"}))
    assert "Not understood" in text(admin.get(reverse("users"), {"role": "King"}))


def test_an_invitation_shows_its_link_once_and_the_link_works(admin: Client, settings: Any) -> None:
    settings.REGISTRATION = "invite"

    answer = admin.post(reverse("user-invite"), {"email": "Eve@example.com", "role_name": "Editor"})

    found = re.search(r'id="invite-link"[^>]*>([^<]+)<', text(answer))
    assert found is not None
    address, _, token = found[1].partition("#")
    assert address == f"http://testserver{reverse('register')}"
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    assert Letter.objects.count() == 1
    given = {"email": "eve@example.com", "password": PASSWORD, "invite_token": token}
    assert Client().post(reverse("register"), given).status_code == 302
    assert User.objects.get(email="eve@example.com").role == "Editor"


def test_the_dialog_is_a_part_for_htmx_and_a_page_without(admin: Client) -> None:
    part = text(admin.get(reverse("user-invite"), headers={"HX-Request": "true"}))
    page = text(admin.get(reverse("user-invite")))

    assert "<html" not in part
    assert "hx-post" in part
    assert "<html" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"email": "ben@example.com"}, "Somebody has this e-mail already."),
        ({"email": "x"}, "Enter a valid email address."),
        ({"role_name": "King"}, "Select a valid choice."),
        ({"full_name": "E\u202eve"}, "control characters"),
    ],
)
def test_a_refused_invitation_says_why(admin: Client, ben: User, given: dict[str, str], said: str) -> None:
    answer = admin.post(reverse("user-invite"), {"email": "e@example.com", "role_name": "Viewer", **given})

    assert answer.status_code == 400
    assert said in text(answer)
    assert not Letter.objects.exists()


def test_an_invited_person_is_invited_again(admin: Client) -> None:
    given = {"email": "eve@example.com", "role_name": "Viewer"}
    admin.post(reverse("user-invite"), given)

    assert "Invite again" in text(admin.get(reverse("users")))
    assert admin.post(reverse("user-invite"), given).status_code == 201
    assert Letter.objects.count() == 2


@pytest.mark.parametrize(("decision", "role"), [("grant", "Editor"), ("refuse", "Viewer"), ("", "Viewer")])
def test_a_wish_stands_on_top_until_it_is_decided(admin: Client, eve: User, decision: str, role: str) -> None:
    before = text(admin.get(reverse("users")))

    after = text(admin.post(reverse("user-decide", args=[eve.uid]), {"decision": decision}, follow=True))

    assert "Asked for a role" in before
    assert "Asked for a role" not in after
    assert User.objects.get(pk=eve.pk).role == role
    again = text(admin.post(reverse("user-decide", args=[eve.uid]), {"decision": decision}, follow=True))
    assert "This person asks for no role." in again


def test_a_role_is_changed_and_the_list_stays_as_it_was_narrowed(admin: Client, ben: User) -> None:
    change = reverse("user-change", args=[ben.uid])

    answer = admin.post(change, {"role_name": "Viewer", "back": "role=Editor&search=ben"})

    assert answer["Location"] == f"{reverse('users')}?role=Editor&search=ben"
    assert User.objects.get(pk=ben.pk).role == "Viewer"
    assert "Ben is Viewer from now on." in text(admin.get(reverse("users")))
    assert "Choose a role from the list." in text(admin.post(change, {"role_name": "King"}, follow=True))


def test_somebody_is_switched_off_and_on(admin: Client, browser: Any, ben: User) -> None:
    theirs, change = browser(ben), reverse("user-change", args=[ben.uid])

    off = text(admin.post(change, {"is_active": "false"}, follow=True))
    assert "Ben is switched off and signed out everywhere." in off
    assert theirs.get(reverse("account")).status_code == 302
    on = text(admin.post(change, {"is_active": "true"}, follow=True))

    assert "Ben is switched on again." in on
    assert User.objects.get(pk=ben.pk).is_active


def test_the_last_admin_stays_and_the_page_says_why(admin: Client, ada: User) -> None:
    for name, given in (
        ("user-change", {"role_name": "Viewer"}),
        ("user-change", {"is_active": "false"}),
        ("user-remove", {}),
    ):
        page = text(admin.post(reverse(name, args=[ada.uid]), given, follow=True))
        assert "This is the last Admin. Make somebody else Admin first." in page
    ada.refresh_from_db()
    assert (ada.role, ada.is_active) == ("Admin", True)


def test_a_removed_person_is_gone_from_the_list_and_stays_in_the_trail(admin: Client, ben: User) -> None:
    answer = admin.post(reverse("user-remove", args=[ben.uid]), follow=True)

    assert "Ben is removed." in text(answer)
    assert "Removed person" not in shown(answer)
    assert admin.post(reverse("user-change", args=[ben.uid]), {"is_active": "true"}).status_code == 404
    assert AuditEvent.objects.filter(action="user.remove", object_id=str(ben.uid)).count() == 1


def _queries(client: Client, name: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(reverse(name)).status_code == 200
    return len(seen)


@pytest.mark.parametrize("name", ["users", "teams"])
def test_more_people_and_teams_cost_no_more_queries(admin: Client, ada: User, ben: User, name: str) -> None:
    services.create_team(by=ada, name="Team 0", members=[ben.uid])
    User.objects.create_user("p0@example.com", PASSWORD, requested_role="Editor")
    first = _queries(admin, name)
    for number in range(1, 6):
        person = User.objects.create_user(f"p{number}@example.com", PASSWORD, requested_role="Editor")
        person.groups.add(Group.objects.get(name="Viewer"))
        services.create_team(by=ada, name=f"Team {number}", members=[ben.uid, person.uid])

    assert _queries(admin, name) == first


def test_a_team_is_made_filled_emptied_renamed_and_removed(admin: Client, ben: User, cyd: User) -> None:
    assert "No teams yet" in text(admin.get(reverse("teams")))

    made = text(admin.post(reverse("teams"), {"name": "Data"}, follow=True))
    team = Group.objects.get(name="Data")
    for email in ("BEN@example.com", "cyd@example.com", "cyd@example.com"):
        admin.post(reverse("team-join", args=[team.pk]), {"email": email})
    full = set(User.objects.filter(groups=team))
    admin.post(reverse("team-leave", args=[team.pk, ben.uid]))
    admin.post(reverse("team-rename", args=[team.pk]), {"name": "Science"})
    page = text(admin.get(reverse("teams")))

    assert "Data is made." in made
    assert full == {ben, cyd}
    assert set(User.objects.filter(groups=team)) == {cyd}
    assert "Science" in page
    assert "Take Cyd out of Science" in page
    assert "Nothing matches" in text(admin.get(reverse("teams"), {"search": "zzz"}))
    gone = text(admin.post(reverse("team-remove", args=[team.pk]), follow=True))
    assert "Science is removed" in gone
    assert not Group.objects.filter(pk=team.pk).exists()


def test_what_is_wrong_with_a_team_is_said_in_sentences(admin: Client, ada: User) -> None:
    services.create_team(by=ada, name="Data")
    team = services.create_team(by=ada, name="Science")
    rename, join = reverse("team-rename", args=[team.pk]), reverse("team-join", args=[team.pk])

    answers = [
        (admin.post(reverse("teams"), {"name": "Data"}), "It is taken."),
        (admin.post(reverse("teams"), {"name": "viewer"}), "It is the name of a role."),
        (admin.post(reverse("teams"), {"name": ""}), "This field is required."),
        (admin.post(rename, {"name": "Data"}), "It is taken."),
        (admin.post(join, {"email": "nobody@example.com"}), "Nobody active has the e-mail nobody@example.com."),
        (admin.post(join, {"email": "x"}), "Enter a valid email address."),
    ]

    for answer, said in answers:
        assert answer.status_code == 400
        assert said in text(answer)


def test_a_role_is_no_team(admin: Client, ben: User) -> None:
    role = Group.objects.get(name="Admin")

    assert admin.post(reverse("team-join", args=[role.pk]), {"email": ben.email}).status_code == 404
    assert admin.post(reverse("team-remove", args=[role.pk])).status_code == 404
    assert User.objects.get(pk=ben.pk).role == "Editor"
