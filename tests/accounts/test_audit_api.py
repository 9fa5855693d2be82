"""The audit trail over HTTP: Admins list it, narrow it, take it out and prove it whole; nobody else does."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from accounts import audit, chain
from accounts.api import audit as routes
from accounts.models import AuditEvent, AuditLink, User
from tests.conftest import bearer

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
URL = "/api/v1/audit-events"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_floor", chain._Floor())
    # Requests of tests before leave theirs on this thread.
    audit.set_origin(audit.Origin())


def numbers(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [entry["number"] for entry in answer.json()["results"]]


async def export(user: User, query: str = "") -> tuple[Any, str]:
    token = await database_sync_to_async(bearer)(user)
    answer: Any = await AsyncClient().get(f"{URL}/export{query}", headers={"Authorization": token})
    assert answer.streaming
    return answer, b"".join([part async for part in answer.streaming_content]).decode()


@pytest.mark.parametrize("path", ["", "/verify", "/export", "/export?as=ndjson", "?wrong=1"])
def test_only_admins_get_in(api: Api, ben: User, cyd: User, path: str) -> None:
    for user in (ben, cyd):
        answer = api(user).get(URL + path)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["code"] == "permission_denied"
    assert api(None).get(URL + path).status_code == 401
    assert not AuditEvent.objects.filter(action="audit.export").exists()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["", "/verify", "/export"])
def test_nobody_writes_here(api: Api, ada: User, method: str, path: str) -> None:
    assert getattr(api(ada), method)(URL + path).status_code == 405


def test_an_event_is_shown_whole_before_and_after_it_is_sealed(api: Api, ada: User, ben: User) -> None:
    audit.set_origin(audit.Origin("req-1", "203.0.113.9"))
    event = audit.log(ben, "thing.make", type="thing", id="7", name="seven", changes={"n": [None, 7]})

    shown = api(ada).get(URL).json()["results"][0]
    at = shown.pop("at")
    assert shown == {
        "number": event.pk,
        "actor": {"id": str(ben.uid), "full_name": "Ben"},
        "actor_kind": "user",
        "action": "thing.make",
        "object": {"type": "thing", "id": "7", "name": "seven"},
        "changes": {"n": [None, 7]},
        "request_id": "req-1",
        "address": "203.0.113.9",
        "link": None,
        "hash": None,
    }
    assert at.endswith("Z")

    chain.seal()

    shown = api(ada).get(URL).json()["results"][0]
    assert (shown["link"], shown["hash"]) == (1, AuditLink.objects.get().hash)


def test_what_the_panel_did_itself_has_no_actor(api: Api, ada: User) -> None:
    audit.log(None, "thing.make")

    shown = api(ada).get(URL).json()["results"][0]

    assert (shown["actor"], shown["actor_kind"], shown["address"]) == (None, "system", None)


def test_the_list_is_paged_newest_first_with_a_flat_number_of_queries(api: Api, ada: User, ben: User) -> None:
    client = api(ada)
    counts = []
    made: list[int] = []
    for wanted in (1, 10):
        while len(made) < wanted:
            made.append(audit.log([ada, ben, None][len(made) % 3], "thing.make").pk)
        chain.seal()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert numbers(client.get(URL)) == made[::-1]
        counts.append(len(queries))

    assert counts[0] == counts[1]
    first = client.get(URL, {"page_size": 4})
    assert numbers(first) == made[:5:-1]
    assert numbers(client.get(first.json()["next"])) == made[5:1:-1]


def test_each_filter_narrows(api: Api, ada: User, ben: User) -> None:
    one = audit.log(ada, "thing.make", type="thing", id="1")
    two = audit.log(ben, "thing.make", type="thing", id="2")
    three = audit.log(ben, "thing.drop", type="other", id="1")
    client = api(ada)

    def found(**query: Any) -> list[int]:
        return numbers(client.get(URL, query))[::-1]

    assert found(actor=str(ben.uid)) == [two.pk, three.pk]
    assert found(action="thing.make") == [one.pk, two.pk]
    assert found(object_type="thing") == [one.pk, two.pk]
    assert found(object_id="1") == [one.pk, three.pk]
    assert found(object_type="thing", object_id="1") == [one.pk]
    at = AuditEvent.objects.get(pk=two.pk).at
    assert found(after=at.isoformat()) == [two.pk, three.pk]
    assert found(before=at.isoformat()) == [one.pk]
    assert found(after=(at + timedelta(days=1)).isoformat()) == []


@pytest.mark.parametrize(
    ("path", "attr"),
    [
        ("?colour=red", "colour"),
        ("/verify?actor=x", "actor"),
        ("/export?page_size=3", "page_size"),
        ("?as=csv", "as"),
        ("?actor=ben", "actor"),
        ("?after=yesterday", "after"),
        ("/export?before=yesterday", "before"),
        ("/export?as=xlsx", "as"),
        ("?object_id=" + "x" * 65, "object_id"),
        ("?action=%00", "action"),
    ],
)
def test_a_wrong_or_unknown_parameter_is_named(api: Api, ada: User, path: str, attr: str) -> None:
    answer = api(ada).get(URL + path)

    assert answer.status_code == 400, answer.content
    assert [error["attr"] for error in answer.json()["errors"]] == [attr]
    assert not AuditEvent.objects.filter(action="audit.export").exists()


def test_verify_tells_whole_from_broken(api: Api, ada: User) -> None:
    events = [audit.log(ada, "thing.make") for _ in range(4)]
    assert api(ada).get(f"{URL}/verify").json() == {"valid": True, "checked": 4, "first_broken": None}

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute("update accounts_audit_events set action = 'x' where id = %s", [events[2].pk])

    assert api(ada).get(f"{URL}/verify").json() == {"valid": False, "checked": 2, "first_broken": 3}


async def test_the_export_is_streamed_in_batches_as_csv_that_no_spreadsheet_runs(
    ada: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_BATCH", 2)

    def prepare() -> None:
        for name in ("=1+1", "+1", "-1", "@sum", "\tx", 'plain, "quoted"\nline'):
            audit.log(ben, "thing.make", type="thing", id="1", name=name, changes={"n": [None, 1]})
        chain.seal()

    await database_sync_to_async(prepare)()
    answer, text = await export(ada)

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="audit-events.csv"'
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["object_name"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@sum", "'\tx", 'plain, "quoted"\nline', ""]
    assert [row["link"] for row in rows] == ["1", "2", "3", "4", "5", "6", ""]
    assert rows[0]["actor_id"] == str(ben.uid)
    assert rows[0]["actor_name"] == "Ben"
    assert rows[0]["changes"] == '{"n":[null,1]}'
    assert rows[-1]["action"] == "audit.export"


async def test_the_export_as_lines_of_json_is_what_the_list_shows(api: Api, ada: User, ben: User) -> None:
    def prepare() -> None:
        for n in range(5):
            audit.log([ada, ben][n % 2], "thing.make", type="thing", id=str(n))
        chain.seal()

    await database_sync_to_async(prepare)()
    answer, text = await export(ada, f"?as=ndjson&actor={ben.uid}")

    listed = await database_sync_to_async(lambda: api(ada).get(URL, {"actor": str(ben.uid)}).json()["results"])()
    assert answer["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in text.splitlines()] == listed[::-1]
    assert len(listed) == 2


async def test_an_export_is_itself_in_the_trail(ada: User) -> None:
    await export(ada, "?as=ndjson&action=thing.make")

    event = await database_sync_to_async(AuditEvent.objects.select_related("actor").get)(action="audit.export")
    assert event.actor == ada
    assert event.changes == {"as": [None, "ndjson"], "filters": [None, {"action": "thing.make"}]}
