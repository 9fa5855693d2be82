"""The pages of triggers: made on the workflow's page, shown once, changed, rotated, removed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from workflows.models import Trigger, Workflow
from workflows.services import triggers

pytestmark = pytest.mark.django_db(transaction=True)
Browser = Callable[[User | None], Client]
SECRET = re.compile(r"mcps_[\w-]+")
TOKEN = re.compile(r"hook_[\w-]{20,}")


def test_a_trigger_is_made_shown_once_changed_and_removed(browser: Browser, ben: User, workflow: Workflow) -> None:
    client = browser(ben)

    assert "/workflows/flow/triggers/new/" in client.get("/workflows/flow/").content.decode()
    made = client.post("/workflows/flow/triggers/new/", {"inputs": '{"n": "${{ body.n }}"}', "version": ""})
    trigger = Trigger.objects.get()
    page = f"/triggers/{trigger.uid}/"
    text = made.content.decode()
    secret = SECRET.search(text)
    assert made["Cache-Control"] == "no-store"
    assert secret is not None
    assert TOKEN.search(text) is not None
    later = client.get(page).content.decode()
    assert SECRET.search(later) is None
    assert TOKEN.search(later) is None

    assert client.post(page, {"inputs": '"${{ body }}"', "version": "1"})["Location"] == page
    trigger.refresh_from_db()
    assert (trigger.inputs, trigger.version, trigger.owner) == ("${{ body }}", "1", ben)
    assert "&quot;${{ body }}&quot;" in client.get(page).content.decode()
    rotated = SECRET.search(client.post(f"{page}rotate/").content.decode())
    assert rotated is not None
    assert rotated[0] != secret[0]
    client.post(f"{page}switch/", {"enabled": "false"})
    assert "Resume" in client.get(page).content.decode()
    assert client.post(f"{page}delete/")["Location"] == "/workflows/flow/"
    assert not Trigger.objects.exists()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"inputs": "[1]"}, "must be a JSON object"),
        ({"inputs": "{"}, "JSON"),
        ({"inputs": '"text"'}, "one expression"),
        ({"inputs": '{"n": "${{ steps.a }}"}'}, "n: "),
        ({"version": "9"}, "no such version"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    browser: Browser, ben: User, workflow: Workflow, form: dict[str, str], words: str
) -> None:
    refused = browser(ben).post("/workflows/flow/triggers/new/", {"inputs": "", "version": "", **form})

    assert refused.status_code == 400
    assert words in refused.content.decode()
    assert not Trigger.objects.exists()


def test_a_viewer_looks_and_changes_nothing(browser: Browser, ben: User, cyd: User, workflow: Workflow) -> None:
    trigger, _, _ = triggers.create_trigger(by=ben, workflow=workflow)
    client = browser(cyd)
    page = f"/triggers/{trigger.uid}/"

    assert str(trigger) in client.get("/workflows/flow/").content.decode()
    assert "/rotate/" not in client.get(page).content.decode()
    assert client.get("/workflows/flow/triggers/new/").status_code == 403
    assert client.post(page, {"inputs": "{}", "version": ""}).status_code == 403
    assert SECRET.search(client.post(f"{page}rotate/", follow=True).content.decode()) is None
    client.post(f"{page}delete/")
    client.post(f"{page}switch/", {"enabled": "false"})
    trigger.refresh_from_db()
    assert trigger.enabled


def test_what_you_can_not_see_is_not_there(browser: Browser, ben: User, dov: User, workflow: Workflow) -> None:
    trigger, _, _ = triggers.create_trigger(by=ben, workflow=workflow)
    Workflow.objects.update(visibility="private")
    client = browser(dov)

    assert client.get(f"/triggers/{trigger.uid}/").status_code == 404
    assert client.post(f"/triggers/{trigger.uid}/rotate/").status_code == 404
    assert client.get("/workflows/flow/triggers/new/").status_code == 404
