"""Connections in the Django admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEvent, User
from connections import services
from connections.models import Connection

KEY = "sk-canary-5772156649015328"


@pytest.fixture
def admin(client: Client, ada: User, settings: Any) -> Client:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    ada.is_staff = ada.is_superuser = True
    ada.save()
    client.force_login(ada)
    return client


@pytest.fixture
def model(ben: User) -> Connection:
    return services.create_connection(by=ben, slug="model", name="Model", type="openai", config={"api_key": KEY})


def test_the_pages_show_which_secrets_are_set_and_nothing_of_them(admin: Client, model: Connection) -> None:
    page = admin.get(f"/admin/connections/connection/{model.pk}/change/")

    text = page.content.decode()
    assert page.status_code == 200
    assert "&#x27;set&#x27;: True" in text
    assert KEY not in text
    assert model.secrets["api_key"] not in text
    assert admin.get("/admin/connections/connection/").status_code == 200
    assert admin.get("/admin/connections/connection/add/").status_code == 403
    assert admin.get(f"/admin/connections/connection/{model.pk}/delete/").status_code == 403


def test_a_change_goes_through_the_service(admin: Client, model: Connection, ada: User) -> None:
    answer = admin.post(
        f"/admin/connections/connection/{model.pk}/change/",
        {"name": "New", "description": "", "visibility": "organisation"},
    )

    assert answer.status_code == 302
    model.refresh_from_db()
    assert (model.name, model.visibility, model.revision) == ("New", "organisation", 1)
    event = AuditEvent.objects.get(action="connection.update")
    assert event.actor == ada
    assert set(event.changes) == {"name", "visibility"}


def test_staff_who_are_no_admins_change_only_what_is_theirs(
    client: Client, model: Connection, dov: User, settings: Any
) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    dov.is_staff = True
    dov.save()
    names = ("view_connection", "change_connection")
    dov.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(dov)
    page = f"/admin/connections/connection/{model.pk}/change/"

    assert client.get(page).status_code == 302  # hidden: back to the index
    Connection.objects.filter(pk=model.pk).update(visibility="organisation")
    assert client.get(page).status_code == 200
    assert client.post(page, {"name": "Mine", "visibility": "private"}).status_code == 403
    model.refresh_from_db()
    assert model.name == "Model"


def test_snapshots_are_to_read(admin: Client, shop_connection: Connection, ben: User) -> None:
    snapshot = services.scan_connection(by=ben, connection=shop_connection)

    assert admin.get("/admin/connections/schemasnapshot/").status_code == 200
    assert admin.get(f"/admin/connections/schemasnapshot/{snapshot.pk}/change/").status_code == 200
    assert admin.post(f"/admin/connections/schemasnapshot/{snapshot.pk}/change/", {"number": 9}).status_code == 403
    assert admin.get(f"/admin/connections/schemasnapshot/{snapshot.pk}/delete/").status_code == 403
