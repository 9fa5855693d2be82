"""Users for Admins and for oneself, people and teams to share with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import services
from accounts.models import ApiKey, AuditEvent, Grant, Role, Session, User
from mcp_site.core.errors import Conflict
from tests.conftest import PASSWORD

Api = Callable[[User | None], APIClient]
Browser = Callable[[User | None], Client]

pytestmark = pytest.mark.django_db


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def many(count: int) -> None:
    for number in range(count):
        user = User.objects.create_user(f"many{number}@example.com", None, full_name=f"Many {number}")
        user.groups.add(Group.objects.get(name=Role.EDITOR))


def test_an_admin_lists_narrows_and_searches(api: Api, ada: User, ben: User, cyd: User) -> None:
    User.objects.filter(pk=cyd.pk).update(is_active=False)
    admin = api(ada)

    def names(query: str) -> set[str]:
        answer = admin.get(f"/users?{query}")
        assert answer.status_code == 200, answer.content
        return {user["full_name"] for user in answer.json()["results"]}

    assert names("") == {"Ada", "Ben", "Cyd"}
    assert names("role=Admin") == {"Ada"}
    assert names("role=Editor") == {"Ben"}
    assert names("role=Viewer") == {"Cyd"}
    assert names("active=false") == {"Cyd"}
    assert names("search=BEN@") == {"Ben"}
    assert admin.get("/users?role=King").status_code == 400
    assert admin.get("/users?colour=red").json()["errors"][0]["attr"] == "colour"


def test_the_list_takes_as_many_queries_for_many_as_for_few(api: Api, ada: User) -> None:
    admin = api(ada)
    many(3)
    with CaptureQueriesContext(connection) as few:
        admin.get("/users")
    many(0)
    for number in range(20):
        User.objects.create_user(f"more{number}@example.com", PASSWORD)
    with CaptureQueriesContext(connection) as lots:
        admin.get("/users")

    assert len(lots) == len(few)


def test_others_see_themselves_and_nobody_else(api: Api, ada: User, ben: User) -> None:
    client = api(ben)

    assert code(client.get("/users")) == (403, "permission_denied")
    assert client.get(f"/users/{ben.uid}").json()["email"] == ben.email
    whole = {"email": ada.email, "full_name": "x", "role_name": "Viewer", "is_active": False}
    assert client.get(f"/users/{ada.uid}").status_code == 404
    for method in ("patch", "put", "delete"):
        assert getattr(client, method)(f"/users/{ada.uid}", whole).status_code == 404
    assert client.delete(f"/users/{ben.uid}").status_code == 403


def test_people_change_their_name_and_with_their_password_their_email(api: Api, ben: User) -> None:
    client = api(ben)
    at = f"/users/{ben.uid}"

    assert client.patch(at, {"full_name": "Benno"}).json()["full_name"] == "Benno"
    without = client.patch(at, {"email": "benno@example.com"})
    wrong = client.patch(at, {"email": "benno@example.com", "current_password": "not it"})
    assert code(without) == code(wrong) == (400, "wrong_password")
    changed = client.patch(at, {"email": "Benno@Example.com", "current_password": PASSWORD})
    assert changed.json()["email"] == "benno@example.com"
    assert client.patch(at, {"role_name": "Editor", "is_active": True}).status_code == 200
    for body in ({"role_name": "Admin"}, {"role_name": "Viewer"}, {"is_active": False}):
        refused = client.patch(at, body)
        assert code(refused) == (403, "permission_denied")
        assert refused.json()["errors"][0]["attr"] == next(iter(body))
    ben.refresh_from_db()
    assert (ben.is_active, ben.is_staff) == (True, False)


@pytest.mark.parametrize("field", ["is_superuser", "is_staff", "groups", "password", "id", "requested_role", "uid"])
def test_other_fields_are_refused_by_name_for_everybody(api: Api, ada: User, ben: User, field: str) -> None:
    for client, user in ((api(ada), ben), (api(ben), ben)):
        answer = client.patch(f"/users/{user.uid}", {field: "x"})
        assert (*code(answer), answer.json()["errors"][0]["attr"]) == (400, "unknown_field", field)


def test_a_name_holds_no_line_breaks_that_could_forge_headers_or_log_lines(api: Api, ben: User) -> None:
    for name in ("Ben\r\nBcc: all@example.com", "Ben\nINFO fake", "Ben\u2028x", "Ben\x1b[31m", "Ben\u202egnp.exe"):
        answer = api(ben).patch("/auth/me", {"full_name": name})
        assert answer.status_code == 400
    ben.refresh_from_db()
    assert ben.full_name == "Ben"


def test_put_needs_everything_and_patch_some(api: Api, ada: User, ben: User) -> None:
    admin, at = api(ada), f"/users/{ben.uid}"
    whole = {"email": ben.email, "full_name": "B", "role_name": "Viewer", "is_active": True}

    assert {e["attr"] for e in admin.put(at, {"full_name": "B"}).json()["errors"]} == {
        "email",
        "role_name",
        "is_active",
    }
    assert admin.put(at, whole).json()["role_name"] == "Viewer"
    changes = AuditEvent.objects.filter(action="user.update").latest("pk").changes
    assert changes == {"full_name": ["Ben", "B"], "role": ["Editor", "Viewer"]}


def test_a_role_change_counts_from_the_next_request_on_and_reaches_keys(api: Api, ada: User, ben: User) -> None:
    client = api(ben)
    _, text = services.issue_key(by=ben, name="k", scopes=["definitions:write"])
    key = APIClient()
    key.credentials(HTTP_X_API_KEY=text)
    body = {"slug": "one", "name": "One", "kind": "llm"}
    assert client.post("/api/v1/definitions", body).status_code == 201

    api(ada).patch(f"/users/{ben.uid}", {"role_name": "Viewer"})

    for caller in (client, key):
        assert caller.post("/api/v1/definitions", {**body, "slug": "two"}).status_code == 403
        assert caller.get("/api/v1/definitions").status_code == 200


def test_the_last_admin_stays_one(api: Api, browser: Browser, ada: User, ben: User) -> None:
    admin, at = api(ada), f"/users/{ada.uid}"

    for refused in (
        admin.patch(at, {"role_name": "Editor"}),
        admin.patch(at, {"is_active": False}),
        admin.delete(at),
    ):
        assert code(refused) == (409, "last_admin")
    page = browser(ada)
    editor = Group.objects.get(name=Role.EDITOR).pk
    form = {"email": ada.email, "full_name": "Ada", "is_active": "on", "groups": [editor]}
    answer = page.post(f"/admin/accounts/user/{ada.pk}/change/", form)
    assert b"This is the last Admin" in answer.content
    assert page.post(f"/admin/accounts/user/{ada.pk}/delete/", {"post": "yes"}).status_code == 403
    # One that was only invited can't act, and doesn't count.
    services.invite(by=ada, email="x@example.com", full_name="", role_name="Admin", base_url="/")
    assert code(admin.patch(at, {"role_name": "Editor"})) == (409, "last_admin")
    assert User.objects.get(pk=ada.pk).role == Role.ADMIN
    services.set_role(user=ben, role=Role.ADMIN, by=ada)
    assert admin.patch(at, {"role_name": "Editor"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_demote_each_other_at_once() -> None:
    first = services.create_admin(email="a@example.com", password=PASSWORD)
    second = services.create_admin(email="b@example.com", password=PASSWORD)
    start, refused = threading.Barrier(2), []

    def demote(by: User, user: User) -> None:
        try:
            start.wait()
            services.change_person(by=by, user=user, role_name=Role.EDITOR)
        except Conflict as exc:
            refused.append(exc.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == ["last_admin"]
    assert User.objects.admins().count() == 1


def test_removing_somebody_takes_their_data_and_leaves_what_they_did(api: Api, ada: User, ben: User) -> None:
    client = api(ben)
    client.post("/api/v1/definitions", {"slug": "one", "name": "One", "kind": "llm"})
    services.issue_key(by=ben, name="k", scopes=["runs:read"])

    assert api(ada).delete(f"/users/{ben.uid}").status_code == 204

    assert client.get("/auth/me").status_code == 401
    assert APIClient().post("/auth/login", {"email": ben.email, "password": PASSWORD}).status_code == 401
    gone = User.objects.get(pk=ben.pk)
    assert (gone.full_name, gone.is_active, gone.has_usable_password()) == ("Removed person", False, False)
    assert "ben" not in gone.email
    assert not ApiKey.objects.filter(owner=ben, revoked=False).exists()
    assert not Session.objects.live().filter(user=ben).exists()
    assert AuditEvent.objects.filter(actor=ben, action="definition.create").exists()
    assert api(ada).get("/api/v1/definitions/one").json()["owner"]["full_name"] == "Removed person"


def test_editors_find_people_to_share_with_and_viewers_do_not(api: Api, ben: User, cyd: User) -> None:
    User.objects.create_user("pending@example.com", None, full_name="Pia")

    shown = api(ben).get("/api/v1/people?search=c").json()["results"]

    assert shown == [{"id": str(cyd.uid), "full_name": "Cyd"}]
    everybody = api(ben).get("/api/v1/people").json()["results"]
    assert {person["full_name"] for person in everybody} == {"Ben", "Cyd"}
    assert api(ben).get(f"/api/v1/people?search={cyd.email}").json()["results"] == shown
    # Not by a part of the e-mail: that would let addresses be guessed letter by letter.
    assert api(ben).get("/api/v1/people?search=@example").json()["results"] == []
    assert api(cyd).get("/api/v1/people").status_code == 403
    assert api(cyd).get("/api/v1/teams").status_code == 403


def test_admins_make_teams_and_editors_see_them(api: Api, ada: User, ben: User, cyd: User) -> None:
    admin = api(ada)

    made = admin.post("/api/v1/teams", {"name": "Data", "members": [str(ben.uid)]})
    assert made.status_code == 201
    at = f"/api/v1/teams/{made.json()['id']}"
    assert made.json()["members"] == [{"id": str(ben.uid), "full_name": "Ben"}]
    assert [team["name"] for team in api(ben).get("/api/v1/teams").json()["results"]] == ["Data"]
    assert api(ben).patch(at, {"name": "Mine"}).status_code == 403
    assert admin.patch(at, {"name": "Facts", "members": [str(cyd.uid)]}).json()["members"][0]["full_name"] == "Cyd"
    assert code(admin.post("/api/v1/teams", {"name": "Facts"})) == (400, "unique")
    assert code(admin.post("/api/v1/teams", {"name": "admin"})) == (400, "role_is_no_team")
    assert code(admin.patch(at, {"name": "Viewer"})) == (400, "role_is_no_team")
    unknown = admin.patch(at, {"members": ["0192e7a0-0000-7000-8000-000000000000"]})
    assert unknown.json()["errors"][0]["attr"] == "members.0"
    role = Group.objects.get(name=Role.ADMIN)
    assert admin.patch(f"/api/v1/teams/{role.pk}", {"name": "x"}).status_code == 404
    assert admin.delete(f"/api/v1/teams/{role.pk}").status_code == 404
    assert admin.delete(at).status_code == 204
    assert not Grant.objects.exists()


def test_the_django_admin_gives_roles_and_records_it(browser: Browser, ada: User, ben: User) -> None:
    page = browser(ada)
    admin_group, editor = Group.objects.get(name=Role.ADMIN).pk, Group.objects.get(name=Role.EDITOR).pk
    form = {"email": ben.email, "full_name": "Ben", "is_active": "on", "groups": [admin_group, editor]}

    assert page.post(f"/admin/accounts/user/{ben.pk}/change/", form).status_code == 302

    ben = User.objects.get(pk=ben.pk)
    assert (ben.role, ben.is_staff, ben.groups.count()) == (Role.ADMIN, True, 1)
    event = AuditEvent.objects.get(action="user.set_groups")
    assert (event.actor, event.changes) == (ada, {"groups": [["Editor"], ["Admin"]]})


def test_roles_can_be_neither_renamed_nor_removed_in_the_django_admin(browser: Browser, ada: User) -> None:
    page, role = browser(ada), Group.objects.get(name=Role.EDITOR)

    page.post(f"/admin/auth/group/{role.pk}/change/", {"name": "Boss"})
    removed = page.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"})
    by_action = {"action": "delete_selected", "_selected_action": [role.pk], "post": "yes"}
    page.post("/admin/auth/group/", by_action)

    assert removed.status_code == 403
    role.refresh_from_db()
    assert role.name == "Editor"
