"""Secrets that live outside the panel: named by reference, read when used, and only from where the operator says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from connections import credentials, services
from connections.credentials import references
from connections.credentials.references import ReferenceBroken
from connections.models import Connection
from mcp_site.core.errors import Rejected

pytestmark = pytest.mark.django_db
VALUE = "reference-secret-canary"


@pytest.fixture
def mount(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets, and two variables."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "conn_shop").write_text(f"{VALUE}\n")
    (folder / "panel_key").write_text("not listed")
    settings.SECRET_REFERENCES = ["env:CONN_*", f"file:{folder}/conn_*"]
    monkeypatch.setenv("CONN_SHOP", VALUE)
    monkeypatch.setenv("OTHER", "not listed")
    return folder


def _make(by: User, where: str, **config: Any) -> Connection:
    given = {"host": "db.example.org", "database": "shop", "user": "panel", "password": {"from": where}, **config}
    return services.create_connection(by=by, slug="shop", name="Shop", type="postgresql", config=given)


def test_a_reference_is_kept_and_its_value_is_not(ben: User, mount: Path) -> None:
    made = _make(ben, "env:CONN_SHOP")

    assert (made.references, made.secrets) == ({"password": "env:CONN_SHOP"}, {})
    assert made.shown_config["password"] == {"set": True, "from": "env:CONN_SHOP"}
    assert VALUE not in str(Connection.objects.filter(pk=made.pk).values().get())
    assert VALUE not in str(list(AuditEvent.objects.values()))


def test_a_reference_is_read_anew_at_each_use(ben: User, mount: Path) -> None:
    made = _make(ben, f"file:{mount}/conn_shop")

    assert credentials.open_connection(made, purpose="test").config["password"] == VALUE
    (mount / "conn_shop").write_text("changed-outside")
    opened = credentials.open_connection(made, purpose="test")
    assert (opened.config["password"], opened.secrets) == ("changed-outside", ("changed-outside",))
    assert AuditEvent.objects.filter(action="secret.use").count() == 2
    (mount / "conn_shop").unlink()
    with pytest.raises(ReferenceBroken, match="no secret at"):
        credentials.open_connection(made, purpose="test")


def test_a_reference_and_a_value_take_each_others_place(ben: User, mount: Path) -> None:
    made = _make(ben, "env:CONN_SHOP")

    given = services.update_connection(by=ben, connection=made, config={"password": "typed-in"})
    assert (given.references, sorted(given.secrets)) == ({}, ["password"])
    back = services.update_connection(by=ben, connection=made, config={"password": {"from": "env:CONN_SHOP"}})
    assert (back.references, back.secrets) == ({"password": "env:CONN_SHOP"}, {})
    same = services.update_connection(by=ben, connection=made, config={**back.shown_config, "port": 5433})
    assert (same.references, same.config["port"]) == ({"password": "env:CONN_SHOP"}, 5433)
    none = services.update_connection(by=ben, connection=made, config={"password": None})
    assert (none.references, none.secrets) == ({}, {})


@pytest.mark.parametrize(
    "where",
    [
        "env:OTHER",
        "env:SECRET_KEY",
        "env:MCP_SECRET_KEYS",
        "env:DATABASE_URL",
        "env:PATH",
        "env:CONN_MISSING",
        "env:",
        "env:CONN_SHOP\x00",
        "file:/etc/passwd",
        "file:{mount}/panel_key",
        "file:{mount}/../secrets/conn_shop",
        "file:{mount}/conn_missing",
        "file:{mount}/conn_link",
        "file:{mount}/conn_folder",
        "file:{mount}/conn_large",
        "file:{mount}/conn_folder/conn_x",
        "file:conn_shop",
        "http://example.org/secret",
        "vault:x",
        "",
    ],
)
def test_what_the_operator_did_not_list_is_not_read(where: str, ben: User, mount: Path) -> None:
    (mount / "conn_link").symlink_to("/etc/passwd")
    (mount / "conn_folder").mkdir()
    (mount / "conn_folder" / "conn_x").write_text("deeper than the star goes")
    (mount / "conn_large").write_text("x" * 100_000)

    with pytest.raises(Rejected) as caught:
        _make(ben, where.format(mount=mount))

    assert caught.value.attr == "config.password"
    assert not Connection.objects.exists()


def test_the_panels_own_secrets_are_never_given_away(
    mount: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_REFERENCES = ["env:*", f"file:{mount}/*"]
    monkeypatch.setenv("COPY", settings.SECRET_KEY)
    (mount / "key").write_text(settings.MCP_SECRET_KEYS[0])

    for where in ("env:COPY", f"file:{mount}/key", "env:SECRET_KEY", "env:MCP_DATA_DIR", "env:PGPASSWORD"):
        with pytest.raises(ReferenceBroken):
            references.read(where)
    assert references.read("env:OTHER") == "not listed"


def test_nothing_is_read_unless_the_operator_lists_something(mount: Path, settings: Any) -> None:
    settings.SECRET_REFERENCES = []

    with pytest.raises(ReferenceBroken):
        references.read("env:CONN_SHOP")


def test_links_inside_the_folder_are_followed_as_mounts_make_them(mount: Path) -> None:
    (mount / "..data").mkdir()
    (mount / "..data" / "conn_kube").write_text(VALUE)
    (mount / "conn_kube").symlink_to("..data/conn_kube")

    assert references.read(f"file:{mount}/conn_kube") == VALUE


def test_the_api_takes_and_shows_references(ben: User, mount: Path, api: Callable[..., APIClient]) -> None:
    body = {"slug": "s", "name": "S", "type": "secret", "config": {"value": {"from": "env:CONN_SHOP"}}}

    made = api(ben).post("/api/v1/connections", body, format="json")
    wrong = api(ben).post(
        "/api/v1/connections", body | {"slug": "t", "config": {"value": {"from": "env:SECRET_KEY"}}}, format="json"
    )

    assert made.status_code == 201, made.json()
    assert made.json()["config"] == {"value": {"set": True, "from": "env:CONN_SHOP"}}
    assert (wrong.status_code, wrong.json()["errors"][0]["attr"]) == (400, "config.value")
    assert wrong.json()["errors"][0]["code"] == "reference_broken"
