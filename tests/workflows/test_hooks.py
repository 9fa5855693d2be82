"""Calls from outside: a right signature of now starts one run; anything else starts none."""

from __future__ import annotations

import hmac
import json
import os
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from django.db import close_old_connections, connection
from django.test import Client

from accounts import services as accounts
from accounts.models import AuditEvent, Role, User
from definitions.models import Definition
from workflows import services
from workflows.models import Run, Trigger, TriggerCall, Workflow
from workflows.services import hooks, triggers

pytestmark = pytest.mark.django_db(transaction=True)
GRAPH = {"steps": [{"key": "a", "definition": "echo"}]}
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def flow(ben: User, prompt: Definition) -> Workflow:
    return services.create_workflow(by=ben, slug="flow", name="Flow", graph=GRAPH)


class Sender:
    """An outside system that has the address and the secret."""

    def __init__(self, trigger: Trigger, token: str, secret: str) -> None:
        self.trigger, self.token, self.secret = trigger, token, secret

    def sign(self, body: bytes, stamp: str) -> str:
        """Return the signature as the documents say."""
        return "sha256=" + hmac.new(self.secret.encode(), stamp.encode() + b"." + body, sha256).hexdigest()

    def call(self, body: Any = None, *, at: datetime = NOW, root: str = "", **more: Any) -> Any:
        """Call with a body (JSON unless it is bytes), at a time; `more` replaces headers or the token."""
        raw = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        stamp = more.pop("stamp", str(int(at.timestamp())))
        headers = {"X-MCP-Timestamp": stamp, "X-MCP-Signature": more.pop("signature", self.sign(raw, stamp))}
        token = more.pop("token", self.token)
        kind = more.pop("content_type", "application/json")
        headers = {name: value for name, value in {**headers, **more.pop("headers", {})}.items() if value is not None}
        with time_machine.travel(NOW, tick=False):
            return Client().post(f"{root}/hooks/{token}", data=raw, content_type=kind, headers=headers)


@pytest.fixture
def make(ben: User, flow: Workflow) -> Callable[..., Sender]:
    """Return a function that makes a trigger of `flow`."""

    def begin(by: User = ben, **given: Any) -> Sender:
        return Sender(*triggers.create_trigger(by=by, workflow=flow, **given))

    return begin


def code(answer: Any) -> str:
    """Return the code of the one error of an answer."""
    assert set(answer.json()) == {"type", "errors"}
    return str(answer.json()["errors"][0]["code"])


def test_a_signed_call_starts_a_run_as_the_owner(make: Callable[..., Sender], ben: User) -> None:
    sender = make(inputs={"n": "${{ body.items.size() }}", "kind": "${{ headers['x-kind'] }}", "fixed": 1})

    answer = sender.call({"items": [1, 2, 3]}, headers={"X-Kind": "order", "Authorization": "Bearer hunter2"})

    run = Run.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"run_id": str(run.uid), "number": run.pk})
    assert run.inputs == {"n": 3, "kind": "order", "fixed": 1}
    assert (run.trigger_kind, run.trigger_id, run.started_by) == ("webhook", str(sender.trigger.uid), ben)
    sender.trigger.refresh_from_db()
    assert (sender.trigger.last_run, sender.trigger.last_called_at) == (run, NOW)
    assert AuditEvent.objects.filter(action="run.start", actor=ben).count() == 1


def test_it_answers_under_the_api_too(make: Callable[..., Sender]) -> None:
    assert make().call(root="/api/v1").status_code == 202


@pytest.mark.parametrize(
    ("inputs", "kind", "body", "expected"),
    [
        ("${{ body }}", "application/json", b'{"a": [1]}', {"a": [1]}),
        ({"all": "${{ body }}"}, "application/cloudevents+json", b"[1]", {"all": [1]}),
        (
            {"text": "${{ body.text }}"},
            "application/x-www-form-urlencoded",
            b"text=hello+you&x=",
            {"text": "hello you"},
        ),
        ({"line": "${{ body }}"}, "text/plain", b"hi", {"line": "hi"}),
        ({"none": "${{ body }}"}, "application/json", b"", {"none": None}),
        ({"secret": "${{ 'authorization' in headers }}"}, "text/plain", b"", {"secret": False}),
        ({}, "application/json", b"not JSON at all", None),
        ({"n": "${{ body.gone }}"}, "application/json", b"{}", None),
        ("${{ body }}", "application/json", b"[1]", None),
        ({"text": "${{ body }}"}, "text/plain", b"\xff", None),
        ({"text": "${{ body }}"}, "text/plain", b"\x00", None),
        ({"text": "${{ body }}"}, "application/x-www-form-urlencoded", b"a=%00", None),
    ],
)
def test_bodies_and_their_inputs(
    make: Callable[..., Sender], inputs: Any, kind: str, body: bytes, expected: dict[str, Any] | None
) -> None:
    sender = make(inputs=inputs)

    answer = sender.call(body, content_type=kind, headers={"Authorization": "Bearer x"})

    if expected is None:
        assert answer.status_code == 400
        assert not Run.objects.exists()
        assert TriggerCall.objects.get().outcome == "refused"
        sender.trigger.refresh_from_db()
        assert sender.trigger.notice
    else:
        assert answer.status_code == 202
        assert Run.objects.get().inputs == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature": None},
        {"signature": ""},
        {"signature": "sha256=" + "0" * 64},
        {"signature": "sha1=abc"},
        {"stamp": ""},
        {"stamp": "soon"},
        {"stamp": "1e9"},
        {"at": NOW - timedelta(minutes=5, seconds=1)},
        {"at": NOW + timedelta(minutes=5, seconds=1)},
    ],
)
def test_a_wrong_or_old_signature_starts_nothing(make: Callable[..., Sender], wrong: dict[str, Any]) -> None:
    sender = make()
    if "signature" in wrong:
        wrong = {"headers": {"X-MCP-Signature": wrong["signature"]}}

    refused = sender.call(**wrong)

    assert (refused.status_code, code(refused)) == (401, "bad_signature")
    assert not Run.objects.exists()
    assert not TriggerCall.objects.exists()
    sender.trigger.refresh_from_db()
    assert "signature" in sender.trigger.notice


def test_a_signature_holds_for_its_body_its_time_and_its_trigger_alone(make: Callable[..., Sender]) -> None:
    sender, other = make(), make()
    stamp = str(int(NOW.timestamp()))
    signature = sender.sign(b"{}", stamp)

    assert sender.call(b"{} ", headers={"X-MCP-Signature": signature}).status_code == 401
    assert sender.call(b"{}", headers={"X-MCP-Signature": signature}, stamp=str(int(stamp) + 1)).status_code == 401
    assert other.call(b"{}", headers={"X-MCP-Signature": signature}).status_code == 401
    assert sender.call(b"{}", headers={"X-MCP-Signature": signature}).status_code == 202


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_may_be_five_minutes_off(make: Callable[..., Sender], minutes: int) -> None:
    assert make().call(at=NOW + timedelta(minutes=minutes)).status_code == 202


def test_an_unknown_address_is_not_there(make: Callable[..., Sender]) -> None:
    sender = make()

    for token in ("hook_nobody", "x", sender.token[:-1], sender.token + "x", "%00", "ä" * 300):
        answer = sender.call(token=token)
        assert (answer.status_code, code(answer)) == (404, "not_found")
    assert sender.call(token=sender.token + "?a=1").status_code == 400
    assert not Run.objects.exists()


def test_a_call_sent_again_is_refused_and_names_the_run(make: Callable[..., Sender]) -> None:
    sender = make()
    first = sender.call({"n": 1})

    again = sender.call({"n": 1})
    other = sender.call({"n": 2})

    assert (again.status_code, code(again)) == (409, "replayed")
    assert first.json()["run_id"] in again.json()["errors"][0]["detail"]
    assert other.status_code == 202
    assert Run.objects.count() == 2


def test_a_call_that_could_not_start_may_be_sent_again(make: Callable[..., Sender], ben: User, flow: Workflow) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    sender = make(inputs="${{ body }}")
    services.save_version(by=ben, workflow=flow, graph={"inputs": schema, **GRAPH})

    refused = sender.call({"m": 1})
    services.rollback(by=ben, workflow=flow, to=1)
    taken = sender.call({"m": 1})

    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (400, "inputs.n")
    assert taken.status_code == 202
    assert [call.outcome for call in sender.trigger.calls.order_by("pk")] == ["refused", "started"]


def test_eight_at_once_start_one_run(make: Callable[..., Sender]) -> None:
    sender = make()
    statuses: list[int] = []
    raw, stamp = b"{}", str(int(NOW.timestamp()))
    headers = {"X-MCP-Timestamp": stamp, "X-MCP-Signature": sender.sign(raw, stamp)}
    barrier = threading.Barrier(8)

    def post() -> None:
        close_old_connections()
        barrier.wait(20)
        try:
            answer = Client().post(f"/hooks/{sender.token}", raw, content_type="application/json", headers=headers)
            statuses.append(answer.status_code)
        finally:
            connection.close()

    with time_machine.travel(NOW, tick=False):
        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert sorted(statuses) == [202, *[409] * 7]
    assert Run.objects.count() == 1


def test_a_paused_trigger_starts_nothing(make: Callable[..., Sender], ben: User) -> None:
    sender = make()
    triggers.update_trigger(by=ben, trigger=sender.trigger, enabled=False)

    refused = sender.call()

    assert (refused.status_code, code(refused)) == (409, "paused")
    assert not Run.objects.exists()


@pytest.mark.parametrize("lose", ["account", "role", "sight"])
def test_it_pauses_with_a_notice_when_its_owner_may_not_run_any_more(
    make: Callable[..., Sender], ada: User, ben: User, dov: User, flow: Workflow, lose: str
) -> None:
    sender = make(by=dov)
    if lose == "account":
        User.objects.filter(pk=dov.pk).update(is_active=False)
    elif lose == "role":
        accounts.set_role(user=dov, role=Role.VIEWER, by=ada)
    else:
        services.update_workflow(by=ben, workflow=flow, visibility="private")

    refused = sender.call()

    assert (refused.status_code, code(refused)) == (409, "paused")
    sender.trigger.refresh_from_db()
    assert (sender.trigger.enabled, bool(sender.trigger.notice)) == (False, True)
    assert AuditEvent.objects.get(action="trigger.pause").actor is None
    assert not Run.objects.exists()


def test_it_pauses_before_it_is_called(make: Callable[..., Sender], ben: User, dov: User) -> None:
    sender, kept = make(by=dov), make(by=ben)
    accounts.set_role(user=dov, role=Role.VIEWER, by=None)

    hooks.pause_orphans()
    hooks.pause_orphans()

    sender.trigger.refresh_from_db()
    kept.trigger.refresh_from_db()
    assert (sender.trigger.enabled, kept.trigger.enabled) == (False, True)
    assert "may not run" in sender.trigger.notice
    assert AuditEvent.objects.filter(action="trigger.pause").count() == 1


def test_the_old_secret_is_dead_after_rotation(make: Callable[..., Sender], ben: User) -> None:
    sender = make()
    _, secret = triggers.rotate_secret(by=ben, trigger=sender.trigger)

    assert sender.call().status_code == 401
    sender.secret = secret
    assert sender.call().status_code == 202


def test_a_body_over_a_mebibyte_is_refused(make: Callable[..., Sender]) -> None:
    sender = make()

    assert sender.call(b"x" * (hooks.MAX_BODY + 1), content_type="text/plain").status_code == 413
    assert sender.call(b"x" * 5_000_000, content_type="text/plain").status_code == 413
    assert not Run.objects.exists()


def test_other_methods_are_refused(make: Callable[..., Sender]) -> None:
    answer = Client().get(f"/hooks/{make().token}")

    assert (answer.status_code, code(answer)) == (405, "method_not_allowed")


def test_calls_of_one_trigger_are_limited(make: Callable[..., Sender], settings: Any) -> None:
    settings.RATES = {**settings.RATES, "hook": 2}
    sender, other = make(), make()

    statuses = [sender.call({"n": n}).status_code for n in range(3)]

    assert statuses == [202, 202, 429]
    assert sender.call({"n": 9})["Retry-After"]
    assert other.call().status_code == 202


def test_old_calls_are_pruned(make: Callable[..., Sender]) -> None:
    make().call()
    TriggerCall.objects.update(at=NOW - timedelta(days=200))

    hooks.prune()

    assert not TriggerCall.objects.exists()
    assert Run.objects.count() == 1


def test_the_example_in_the_documents_works(make: Callable[..., Sender], live_server: Any) -> None:
    """Run the shell lines of docs/triggers.md with curl and openssl, against a server that listens."""
    sender = make(inputs={"order": "${{ body.order }}"})
    lines = _example()
    environment = {
        "HOOK": f"{live_server.url}/hooks/{sender.token}",
        "SECRET": sender.secret,
        "PATH": os.environ["PATH"],
    }

    done = subprocess.run(
        ["bash", "-ec", lines], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    run = Run.objects.get()
    assert json.loads(done.stdout)["run_id"] == str(run.uid)
    assert run.inputs == {"order": 4711}


def _example() -> str:
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs/triggers.md").read_text()
    return text.split("<!-- tested -->\n```sh\n")[1].split("```")[0]
