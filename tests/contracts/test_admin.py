"""The Django admin: every page of every model answers, and nothing in it breaks the panel's rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, AuditEvent, AuditLink, User
from connections import services as connections
from connections.models import Connection, SchemaSnapshot
from definitions import services as definitions
from definitions.models import Alias, AliasMove, Definition, DefinitionVersion
from workflows import services
from workflows.models import Limit, Run, StepRun, Workflow, WorkflowAlias, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)
Browser = Callable[[User | None], Client]
INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>|\sstyle=\"|\son[a-z]+=\"", re.IGNORECASE)
READ_ONLY = [
    ApiKey,
    AuditEvent,
    AuditLink,
    SchemaSnapshot,
    DefinitionVersion,
    Alias,
    AliasMove,
    WorkflowVersion,
    WorkflowAlias,
    Run,
    StepRun,
]


@pytest.fixture
def boss(ada: User) -> User:
    ada.is_staff = ada.is_superuser = True
    ada.save()
    return ada


@pytest.fixture
def rows(boss: User) -> None:
    """Have at least one row of what an admin looks at."""
    config = {"provider": "dry-run", "messages": [{"role": "user", "content": "hi"}]}
    echo = definitions.create_definition(by=boss, slug="echo", name="Echo", kind="llm", config=config)
    definitions.move_alias(by=boss, definition=echo, name="production", number=1)
    graph = {"steps": [{"key": "a", "definition": "echo"}]}
    flow = services.create_workflow(by=boss, slug="flow", name="Flow", graph=graph)
    services.move_alias(by=boss, workflow=flow, name="production", number=1)
    services.start_run(workflow=flow, inputs={}, by=boss)
    connections.create_connection(
        by=boss, slug="vault", name="Vault", type="secret", config={"value": "hunter2-is-the-secret"}
    )


def _path(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_list_and_every_row_answers_without_inline_code(browser: Browser, boss: User, rows: None) -> None:
    client = browser(boss)
    seen = 0
    for model in admin.site._registry:
        found = [client.get(_path(model, "changelist"))]
        row = model._default_manager.first()
        if row is not None:
            found.append(client.get(_path(model, "change", row.pk)))
            seen += 1
        for answer in found:
            assert answer.status_code == 200, model
            assert not INLINE.search(answer.content.decode()), model

    assert seen >= 10


@pytest.mark.parametrize("model", READ_ONLY)
def test_what_only_the_panel_writes_can_not_be_written_here(
    browser: Browser, boss: User, rows: None, model: Any
) -> None:
    client = browser(boss)

    assert client.get(_path(model, "add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert client.post(_path(model, "change", row.pk), {}).status_code == 403
        assert client.post(_path(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_no_page_shows_a_secret(browser: Browser, boss: User, rows: None) -> None:
    client = browser(boss)
    row = Connection.objects.get(slug="vault")

    for path in (_path(Connection, "changelist"), _path(Connection, "change", row.pk), _path(AuditEvent, "changelist")):
        text = client.get(path).content.decode()
        assert "hunter2" not in text
        assert row.secrets["value"] not in text


def test_a_user_made_here_can_sign_in_and_has_the_chosen_role(browser: Browser, boss: User) -> None:
    client = browser(boss)
    new = "a quite long password"
    form = {"email": "New@Example.com", "full_name": "", "usable_password": "true", "password1": new, "password2": new}

    assert client.post(_path(User, "add"), form).status_code == 302
    made = User.objects.get(email="new@example.com")
    role = Group.objects.get(name="Editor").pk
    change = {"email": "new@example.com", "full_name": "New", "is_active": "on", "groups": [role]}
    assert client.post(_path(User, "change", made.pk), change).status_code == 302

    assert User.objects.get(pk=made.pk).role == "Editor"
    assert Client().post("/login/", {"username": "new@example.com", "password": new})["Location"] == "/"


def test_the_action_cancels_runs_and_says_which_have_ended(browser: Browser, boss: User, rows: None) -> None:
    client = browser(boss)
    run = Run.objects.get()
    form = {"action": "cancel_runs", "_selected_action": [run.pk]}

    client.post(_path(Run, "changelist"), form)
    again = client.post(_path(Run, "changelist"), form, follow=True)

    run.refresh_from_db()
    assert run.state == "cancelled"
    assert "already ended" in again.content.decode()


def test_editors_and_strangers_stay_outside(browser: Browser, ben: User) -> None:
    for client in (browser(ben), browser(None)):
        answer = client.get("/admin/")
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_every_model_with_a_simple_key_is_registered() -> None:
    shown = {model for model in admin.site._registry if "Token" not in model.__name__}
    assert len(shown) == len(admin.site._registry), "a table of tokens is nobody's to read"

    assert {User, Connection, Definition, Workflow, Run, StepRun, Limit} <= shown
