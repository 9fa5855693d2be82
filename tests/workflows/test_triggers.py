"""Triggers: who may make them, what they hold back, and the shapes of their API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from definitions.models import Definition
from mcp_site.core.errors import Conflict, Forbidden
from workflows import services
from workflows.models import KeptAnswer, Trigger, Workflow
from workflows.services import triggers

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
GRAPH = {"steps": [{"key": "a", "definition": "echo"}]}
PATH = "/api/v1/triggers"


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


def test_token_and_secret_are_shown_once_and_stand_nowhere(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)

    made = client.post(PATH, {"workflow": "flow", "inputs": {"n": "${{ body.n }}"}})

    body = made.json()
    token, secret = body["token"], body["secret"]
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    assert body["url"] == f"http://testserver/hooks/{token}"
    assert token.startswith(body["prefix"])
    later = client.get(made["Location"])
    assert not {"token", "secret", "url"} & set(later.json())
    with connection.cursor() as cursor:
        for table in ("workflow_triggers", "accounts_audit_events", "workflow_kept_answers"):
            cursor.execute(f"select coalesce(string_agg(t::text, ''), '') from {table} t")
            text = cursor.fetchone()[0]
            assert token not in text
            assert secret not in text


def test_sent_again_with_the_same_key_it_says_what_was_made_without_the_secret(
    api: Api, ben: User, flow: Workflow
) -> None:
    key = {"HTTP_IDEMPOTENCY_KEY": "one"}
    made = api(ben).post(PATH, {"workflow": "flow"}, **key)

    again = api(ben).post(PATH, {"workflow": "flow"}, **key)

    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "already_created")
    assert made.json()["id"] in again.json()["errors"][0]["detail"]
    assert again["Location"] == made["Location"]
    assert KeptAnswer.objects.get().body is None
    assert Trigger.objects.count() == 1


def test_it_is_listed_changed_rotated_and_removed(api: Api, ben: User, flow: Workflow) -> None:
    client = api(ben)
    services.move_alias(by=ben, workflow=flow, name="production", number=1)
    made = client.post(PATH, {"workflow": "flow", "version": "production"})
    path, secret = made["Location"], made.json()["secret"]

    changed = client.patch(path, {"inputs": "${{ body }}", "version": 1, "enabled": False}).json()
    rotated = client.post(f"{path}/rotate").json()

    assert (changed["inputs"], changed["version"], changed["enabled"]) == ("${{ body }}", 1, False)
    assert rotated["secret"] != secret
    assert "token" not in rotated
    assert client.get(f"{PATH}?workflow=flow&enabled=false").json()["results"][0]["id"] == changed["id"]
    assert client.get(f"{PATH}?workflow=other").json()["results"] == []
    assert client.get(f"{path}/calls").json()["results"] == []
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    actions = list(AuditEvent.objects.filter(object_type="trigger").order_by("pk").values_list("action", flat=True))
    assert actions == ["trigger.create", "trigger.update", "trigger.rotate", "trigger.delete"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("workflow", "required")}),
        ({"workflow": "nope"}, {("workflow", "unknown_workflow")}),
        ({"workflow": "flow", "inputs": 5}, {("inputs", "invalid")}),
        ({"workflow": "flow", "inputs": "text"}, {("inputs", "invalid")}),
        ({"workflow": "flow", "inputs": {"n": "${{ steps.a }}"}}, {("inputs.n", "invalid_expression")}),
        (
            {"workflow": "flow", "inputs": {"a": ["${{ body. }}"], "b": "${{ nobody }}"}},
            {("inputs.a.0", "invalid_expression"), ("inputs.b", "invalid_expression")},
        ),
        ({"workflow": "flow", "version": "nope"}, {("version", "unknown_version")}),
        ({"workflow": "flow", "token": "mine"}, {("token", "unknown_field")}),
    ],
)
def test_a_wrong_body_is_refused_with_the_path(
    api: Api, ben: User, flow: Workflow, body: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    refused = api(ben).post(PATH, body)

    assert refused.status_code == 400
    assert {(error["attr"], error["code"]) for error in refused.json()["errors"]} == expected
    assert not Trigger.objects.exists()


def test_who_sees_and_who_may(api: Api, ada: User, ben: User, cyd: User, dov: User, flow: Workflow) -> None:
    trigger, _, _ = triggers.create_trigger(by=dov, workflow=flow)
    path = f"{PATH}/{trigger.uid}"

    assert api(cyd).get(path).status_code == 200
    assert api(cyd).post(PATH, {"workflow": "flow"}).status_code == 403
    # Ben owns the workflow: he may stop what starts it, but neither sign its calls nor say what it does.
    assert api(ben).patch(path, {"inputs": {}}).status_code == 403
    assert api(ben).post(f"{path}/rotate").status_code == 403
    assert api(ben).patch(path, {"enabled": False}).status_code == 200
    assert api(ada).patch(path, {"enabled": True}).status_code == 200
    assert api(ben).delete(path).status_code == 204
    with pytest.raises(Forbidden):
        triggers.create_trigger(by=cyd, workflow=flow)


def test_a_stranger_sees_none(api: Api, ben: User, dov: User, flow: Workflow) -> None:
    trigger, _, _ = triggers.create_trigger(by=ben, workflow=flow)
    services.update_workflow(by=ben, workflow=flow, visibility="private")

    assert api(dov).get(f"{PATH}/{trigger.uid}").status_code == 404
    assert api(dov).get(PATH).json()["results"] == []
    assert api(None).get(PATH).status_code == 401


def test_a_workflow_that_can_be_called_is_in_use(ben: User, flow: Workflow) -> None:
    trigger, _, _ = triggers.create_trigger(by=ben, workflow=flow)

    with pytest.raises(Conflict, match="trigger"):
        services.archive_workflow(by=ben, workflow=flow)
    triggers.update_trigger(by=ben, trigger=trigger, enabled=False)
    services.archive_workflow(by=ben, workflow=flow)
    with pytest.raises(Conflict):
        triggers.create_trigger(by=ben, workflow=flow)
