"""Definitions in the Django admin: names can be changed, history can't."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from definitions import services
from definitions.models import Alias, AliasMove, Definition

pytestmark = pytest.mark.django_db
Browser = Callable[[User | None], Client]


@pytest.fixture
def staff(ada: User, browser: Browser) -> Client:
    ada.is_staff = ada.is_superuser = True
    ada.save()
    return browser(ada)


@pytest.mark.parametrize("model", ["definition", "definitionversion", "alias", "aliasmove"])
def test_every_list_and_detail_opens(staff: Client, ben: User, greeting: Definition, model: str) -> None:
    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    rows = {
        "definition": greeting,
        "definitionversion": greeting.versions.get(),
        "alias": Alias.objects.get(),
        "aliasmove": AliasMove.objects.get(),
    }
    assert staff.get(reverse(f"admin:definitions_{model}_changelist") + "?q=greet").status_code == 200
    assert staff.get(reverse(f"admin:definitions_{model}_change", args=[rows[model].pk])).status_code == 200
    assert staff.get(reverse(f"admin:definitions_{model}_add")).status_code == 403
    assert staff.post(reverse(f"admin:definitions_{model}_delete", args=[rows[model].pk])).status_code == 403


@pytest.mark.parametrize("model", ["definitionversion", "alias", "aliasmove"])
def test_history_is_read_only(staff: Client, ben: User, greeting: Definition, model: str) -> None:
    services.move_alias(by=ben, definition=greeting, name="production", number=1)
    rows = {
        "definitionversion": greeting.versions.get(),
        "alias": Alias.objects.get(),
        "aliasmove": AliasMove.objects.get(),
    }
    url = reverse(f"admin:definitions_{model}_change", args=[rows[model].pk])
    assert staff.post(url, {"name": "other", "note": "other"}).status_code == 403


def test_a_change_goes_through_the_service(staff: Client, ada: User, greeting: Definition) -> None:
    url = reverse("admin:definitions_definition_change", args=[greeting.pk])
    form = {"name": "Hello", "description": "", "tags": '["a"]', "visibility": "organisation"}
    assert staff.post(url, form).status_code == 302
    greeting.refresh_from_db()
    assert (greeting.name, greeting.tags) == ("Hello", ["a"])
    event = AuditEvent.objects.get(action="definition.update")
    assert (event.actor, set(event.changes)) == (ada, {"name", "tags"})


@pytest.mark.parametrize("tags", ['{"a": 1}', "[1]", '["a", "a"]', "5", "nonsense"])
def test_wrong_tags_are_an_error_of_the_form(staff: Client, greeting: Definition, tags: str) -> None:
    url = reverse("admin:definitions_definition_change", args=[greeting.pk])
    form = {"name": "Hello", "description": "", "tags": tags, "visibility": "organisation"}
    refused = staff.post(url, form)
    assert refused.status_code == 200
    assert "tags" in refused.context["adminform"].form.errors
    greeting.refresh_from_db()
    assert greeting.name == "Greeting"


def test_the_archived_stay_as_they_are(staff: Client, ben: User, greeting: Definition) -> None:
    services.archive_definition(by=ben, definition=greeting)
    url = reverse("admin:definitions_definition_change", args=[greeting.pk])
    assert staff.get(url).status_code == 200
    assert staff.post(url, {"name": "x"}).status_code == 403
