"""Shares: each permission does just what it says, for a person and for a team, and ends with its taking back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Grant, Role, User
from definitions.models import Definition

Api = Callable[[User | None], APIClient]
AT = "/api/v1/definitions/secret-prompt"

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt(api: Api, ben: User) -> str:
    """Ben's private prompt with a version."""
    owner = api(ben)
    body = {"slug": "secret-prompt", "name": "Secret prompt", "kind": "llm", "visibility": "private"}
    assert owner.post("/api/v1/definitions", body).status_code == 201
    version = {"config": {"provider": "dry-run", "model": "echo", "messages": [{"role": "user", "content": "hi"}]}}
    made = owner.post(f"{AT}/versions", version)
    assert made.status_code == 201, made.content
    return AT


def reach(client: APIClient) -> dict[str, int]:
    """Return the answers to seeing, running and editing Ben's prompt."""
    return {
        "list": len(client.get("/api/v1/definitions").json()["results"]),
        "view": client.get(AT).status_code,
        "versions": client.get(f"{AT}/versions").status_code,
        "run": client.post(f"{AT}/run", {}).status_code,
        "edit": client.patch(AT, {"name": "Changed"}).status_code,
        "shares": client.get(f"{AT}/shares").status_code,
    }


NOTHING = {"list": 0, "view": 404, "versions": 404, "run": 404, "edit": 404, "shares": 404}
VIEW = {"list": 1, "view": 200, "versions": 200, "run": 403, "edit": 403, "shares": 403}
RUN = {**VIEW, "run": 201}
EDIT = {**RUN, "edit": 200, "shares": 200}


@pytest.mark.parametrize(("permission", "expected"), [("view", VIEW), ("run", RUN), ("edit", EDIT)])
@pytest.mark.parametrize("by_team", [False, True])
def test_a_share_gives_an_editor_just_what_it_says(
    api: Api, prompt: str, ben: User, dov: User, permission: str, expected: dict[str, int], by_team: bool
) -> None:
    team = Group.objects.create(name="Data")
    dov.groups.add(team)
    receiver = {"team": team.pk} if by_team else {"user": str(dov.uid)}
    owner, other = api(ben), api(dov)

    assert reach(other) == NOTHING
    share = owner.post(f"{prompt}/shares", {**receiver, "permission": permission})
    assert share.status_code == 201, share.content
    assert reach(other) == expected
    assert owner.delete(f"{prompt}/shares/{share.json()['id']}").status_code == 204
    assert reach(other) == NOTHING
    assert [event.action for event in AuditEvent.objects.filter(object_name="secret-prompt").order_by("pk")][-1] == (
        "definition.unshare"
    )


@pytest.mark.parametrize("permission", ["view", "run", "edit"])
def test_a_viewer_never_gets_more_than_the_role(api: Api, prompt: str, ben: User, cyd: User, permission: str) -> None:
    api(ben).post(f"{prompt}/shares", {"user": str(cyd.uid), "permission": permission})

    assert reach(api(cyd)) == VIEW


def test_a_share_changes_lists_and_is_told(api: Api, prompt: str, ben: User, dov: User) -> None:
    owner = api(ben)
    share = owner.post(f"{prompt}/shares", {"user": str(dov.uid), "permission": "view"}).json()

    changed = owner.patch(f"{prompt}/shares/{share['id']}", {"permission": "edit"})

    assert changed.json()["permission"] == "edit"
    assert owner.get(f"{prompt}/shares").json()["results"] == [changed.json()]
    assert changed.json()["user"] == {"id": str(dov.uid), "full_name": "Dov"}
    last = AuditEvent.objects.filter(action="definition.share").latest("pk")
    assert (last.object_name, last.changes) == ("secret-prompt", {"Dov": ["view", "edit"]})
    assert reach(api(dov)) == EDIT


def test_who_may_edit_by_a_share_may_share_on_and_the_owner_still_may(
    api: Api, prompt: str, ben: User, dov: User, cyd: User
) -> None:
    api(ben).post(f"{prompt}/shares", {"user": str(dov.uid), "permission": "edit"})

    assert api(dov).post(f"{prompt}/shares", {"user": str(cyd.uid), "permission": "view"}).status_code == 201
    assert reach(api(cyd)) == VIEW
    assert len(api(ben).get(f"{prompt}/shares").json()["results"]) == 2


def test_bad_shares_are_refused_with_the_field(api: Api, prompt: str, ben: User, dov: User, ada: User) -> None:
    owner = api(ben)
    role = Group.objects.get(name=Role.EDITOR)
    owner.post(f"{prompt}/shares", {"user": str(dov.uid), "permission": "view"})
    pending = User.objects.create_user("p@example.com", None)

    def refusal(body: dict[str, Any]) -> tuple[int, str, str | None]:
        error = (answer := owner.post(f"{prompt}/shares", body)).json()["errors"][0]
        return answer.status_code, error["code"], error["attr"]

    assert refusal({"permission": "view"}) == (400, "one_receiver", "user")
    assert refusal({"user": str(dov.uid), "team": role.pk, "permission": "view"}) == (400, "one_receiver", "user")
    assert refusal({"team": role.pk, "permission": "view"}) == (400, "role_is_no_team", "team")
    assert refusal({"team": 2**31 - 1, "permission": "view"}) == (400, "unknown_team", "team")
    assert refusal({"user": str(ben.uid), "permission": "view"}) == (400, "is_owner", "user")
    assert refusal({"user": str(pending.uid), "permission": "view"}) == (400, "unknown_person", "user")
    assert refusal({"user": str(dov.uid), "permission": "own"}) == (400, "invalid_choice", "permission")
    assert refusal({"user": str(dov.uid), "permission": "edit"}) == (409, "already_shared", None)
    assert refusal({"user": str(ada.uid), "permission": "view", "owner": "me"}) == (400, "unknown_field", "owner")
    assert Grant.objects.count() == 1


def test_a_share_of_another_thing_is_out_of_reach(api: Api, prompt: str, ben: User, dov: User) -> None:
    stranger = api(dov)
    stranger.post("/api/v1/definitions", {"slug": "mine", "name": "Mine", "kind": "llm"})
    share = api(ben).post(f"{prompt}/shares", {"user": str(dov.uid), "permission": "view"}).json()

    assert stranger.delete(f"/api/v1/definitions/mine/shares/{share['id']}").status_code == 404
    assert stranger.patch(f"{prompt}/shares/{share['id']}", {"permission": "edit"}).status_code == 403
    assert stranger.delete(f"{prompt}/shares/{share['id']}").status_code == 403


def test_a_list_reads_shares_once_however_many_there_are(api: Api, prompt: str, ben: User, dov: User) -> None:
    client = api(dov)
    with CaptureQueriesContext(connection) as none:
        client.get("/api/v1/definitions")
    for number in range(12):
        row = Definition.objects.create(slug=f"d{number}", name="D", kind="llm", owner=ben, visibility="private")
        Grant.objects.create(object_type="definition", object_id=row.pk, user=dov, permission="view")
    with CaptureQueriesContext(connection) as many:
        shown = client.get("/api/v1/definitions").json()["results"]

    assert len(shown) == 12
    assert len(many) <= len(none) + 2


def test_detail_is_found_exactly_where_the_list_shows_it(
    api: Api, prompt: str, ada: User, ben: User, cyd: User, dov: User
) -> None:
    row = Definition.objects.get(slug="secret-prompt")
    Definition.objects.create(slug="open", name="Open", kind="llm", owner=ben, visibility="organisation")
    Grant.objects.create(object_type="definition", object_id=row.pk, user=cyd, permission="view")
    # A share of another kind of thing with the same number gives nothing.
    Grant.objects.create(object_type="workflow", object_id=row.pk, user=dov, permission="edit")

    for user in (ada, ben, cyd, dov):
        client = api(user)
        listed = {found["slug"] for found in client.get("/api/v1/definitions").json()["results"]}
        seen = {
            slug for slug in ("secret-prompt", "open") if client.get(f"/api/v1/definitions/{slug}").status_code == 200
        }
        assert seen == listed
