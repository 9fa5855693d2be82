"""A connection knows which definitions use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from connections import services as connections
from connections.models import Connection
from definitions import services
from mcp_site.core import uses
from mcp_site.core.errors import Conflict

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(ben: User, tmp_path: Path) -> Connection:
    return connections.create_connection(
        by=ben,
        slug="shop",
        name="Shop",
        type="sqlite",
        config={"path": str(tmp_path / "shop.db")},
        visibility="organisation",
    )


def using(shop: Connection, by: User) -> tuple[list[str], int]:
    found = uses.find("connection", shop.pk, by=by)
    return [use.slug for use in found.visible if use.type == "definition"], found.hidden


def make(by: User, slug: str, kind: str, config: dict[str, Any], **fields: Any) -> Any:
    return services.create_definition(by=by, slug=slug, name=slug, kind=kind, config=config, **fields)


def test_the_newest_version_and_those_behind_an_alias_count(ben: User, cyd: User, shop: Connection) -> None:
    rows = make(ben, "rows", "sql", {"connection": "shop", "sql": "select 1"})
    secret = {"env": "SHOP", "connection": "shop", "field": "path"}
    make(ben, "reader", "script", {"code": "def main(): ...", "secrets": [secret]}, visibility="private")
    make(ben, "words", "llm", {"messages": [{"content": 'open the "shop"'}]})
    make(ben, "unused", "sql", {"sql": "select 'shop', \"shop\" from shop"})
    assert using(shop, ben) == (["reader", "rows"], 0)
    assert using(shop, cyd) == (["rows"], 1)
    services.save_version(by=ben, definition=rows, config={"sql": "select 1"})
    assert using(shop, ben) == (["reader"], 0)
    services.move_alias(by=ben, definition=rows, name="production", number=1)
    assert using(shop, ben) == (["reader", "rows"], 0)
    services.archive_definition(by=ben, definition=rows)
    assert using(shop, ben) == (["reader"], 0)


def test_a_connection_in_use_is_not_archived(ben: User, shop: Connection) -> None:
    make(ben, "rows", "sql", {"connection": "shop", "sql": "select 1"})
    with pytest.raises(Conflict, match="definition rows"):
        connections.archive_connection(by=ben, connection=shop)
