"""T-SEC-LEAK: unique secrets go in by every path, and are looked for everywhere that anything comes out."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from connections.models import Connection
from tests.connections.mysql_server import RogueMySQL
from tests.connections.servers import free_port, http_server

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1/connections"
CANARIES = {name: f"canary {name}/7f3+Zq&é" for name in ("api", "patch", "page", "edit", "refused", "wrong", "key")}


def _forms(secret: str) -> Iterator[str]:
    """Yield what a secret may look like where it leaked."""
    raw = secret.encode()
    yield secret
    yield secret[::-1]
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield raw.hex()
    for offset in range(3):
        # What is the same in base64 wherever the secret stands in the text.
        whole = base64.b64encode(b"\x00" * offset + raw).decode()
        yield whole[4 if offset else 0 : -4]


KEY = "canary-key-7f3Zq"
FORMS = [form for secret in [*CANARIES.values(), KEY] for form in _forms(secret)]


def _leaks(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged, from the lowest level on."""
    caplog.set_level(logging.DEBUG)
    for name in ("django", "django.request", "connections", "mcp_site", "sqlglot", "psycopg", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def _server(password: str, **config: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": free_port(), "database": "d", "user": "u", "password": password, **config}


def _write_everywhere(ben: User, api: Any, browser: Any, outside: dict[str, Any]) -> list[Any]:
    """Put a canary through every path that takes a secret; return all answers."""
    rest, pages = api(ben), browser(ben)
    answers: list[Any] = []

    def post(url: str, body: Any, **more: Any) -> None:
        answers.append(rest.post(url, body, format="json", **more))

    body = {"slug": "api", "name": "A", "type": "postgresql", "config": _server(CANARIES["api"])}
    key = {"HTTP_IDEMPOTENCY_KEY": "canary-key"}
    post(API, {**body, "visibility": "organisation"}, **key)
    post(API, {**body, "visibility": "organisation"}, **key)
    post(API, body)
    answers.append(rest.patch(f"{API}/api", {"config": {"password": CANARIES["patch"]}}, format="json"))
    # Refused: a list, an unknown field, a secret in a place for something else, a body that is no JSON.
    for config in (
        _server(CANARIES["refused"], port=CANARIES["refused"]),
        _server([CANARIES["refused"]]),  # type: ignore[arg-type]
        _server({"from": CANARIES["refused"]}),  # type: ignore[arg-type]
        _server("x", host=f"u:{CANARIES['refused']}@h"),
        {CANARIES["refused"]: "x"},
    ):
        post(API, {**body, "slug": "refused", "config": config})
    answers.append(
        rest.post(API, f'{{"config": {{"password": "{CANARIES["refused"]}"', content_type="application/json")
    )
    # Wrong at the other side, which may quote what it was told.
    post(API, {**body, "slug": "wrong", "config": {**outside, "user": "nobody-here", "password": CANARIES["wrong"]}})
    for act in ("test", "scan"):
        post(f"{API}/wrong/{act}", None)
        post(f"{API}/api/{act}", None)
    post(f"{API}/wrong/query", {"sql": f"select '{CANARIES['wrong']}'"})
    post(
        API,
        {**body, "slug": "live", "config": {**outside, "password": CANARIES["wrong"]}, "visibility": "organisation"},
    )
    post(f"{API}/live/query", {"sql": f'select "{CANARIES["wrong"]}" from nowhere'})
    post(f"{API}/live/query", {"sql": "select :p::int", "params": {"p": CANARIES["wrong"]}})

    with http_server(lambda request: (401, {}, str(request.headers).encode())) as (url, _):
        config = {"api_key": KEY, "base_url": url}
        post(API, {**body, "slug": "key", "type": "openai", "config": config})
        post(f"{API}/key/test", None)
    rogue = RogueMySQL("clear")
    config = {**_server(CANARIES["key"]), "port": rogue.port, "connect_timeout": 2}
    post(API, {**body, "slug": "rogue", "type": "mysql", "config": config})
    post(f"{API}/rogue/test", None)
    rogue.close()

    form = {"name": "P", "slug": "page", "visibility": "organisation", "config.value": CANARIES["page"]}
    answers.append(pages.post("/connections/new/secret/", form, follow=True))
    answers.append(pages.post("/connections/new/secret/", {**form, "slug": "NOT ONE"}))
    answers.append(pages.post("/connections/page/edit/", {**form, "config.value": CANARIES["edit"]}, follow=True))
    answers.append(pages.post("/connections/page/edit/", {**form, "config.value": CANARIES["edit"], "name": ""}))
    return answers


def test_no_secret_comes_out_anywhere(
    ada: User,
    ben: User,
    cyd: User,
    api: Callable[[User | None], APIClient],
    browser: Callable[[User | None], Client],
    outside: dict[str, Any],
    heard: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers = _write_everywhere(ben, api, browser, outside)
    assert {row.slug for row in Connection.objects.all()} == {"api", "wrong", "live", "key", "rogue", "page"}

    for person in (ada, ben, cyd, None):
        for path in ("", "/api", "/live", "/page", "/api/schema", "/api/snapshots", "/api/drift", "/key", "/nothing"):
            answers.append(api(person).get(f"{API}{path}"))
        answers += [
            api(person).get(f"/api/v1/{path}") for path in ("audit", "users", "me", "connection-types", "schema")
        ]
        paths = ["/connections/", "/audit/", "/", *(f"/connections/{slug}/" for slug in ("api", "live", "page", "key"))]
        paths += ["/connections/api/edit/", "/connections/page/edit/", "/connections/nothing/", "/search/?q=canary"]
        admin = [
            f"/admin/connections/connection/{pk}/change/" for pk in Connection.objects.values_list("pk", flat=True)
        ]
        paths += [
            "/admin/connections/connection/",
            "/admin/connections/pastquery/",
            "/admin/accounts/auditevent/",
            *admin,
        ]
        answers += [browser(person).get(path) for path in paths]

    found: dict[str, list[str]] = {}
    for answer in answers:
        text = b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()
        where = f"{answer.request['REQUEST_METHOD']} {answer.request['PATH_INFO']} {answer.status_code}"
        found[where] = _leaks(text + str(dict(answer.headers)))
        assert answer.status_code != 500, where
    found |= {f"table {name}": _leaks(text) for name, text in _raw_rows()}
    found["logs"] = _leaks("\n".join([heard.text, *(str(vars(record)) for record in heard.records)]))
    found["output"] = _leaks("".join(capfd.readouterr()))
    found["cache"] = _leaks(str([(key, cache.get(key)) for key in cache.iter_keys("*")]))
    found["processes"] = _leaks(subprocess.run(["ps", "axeww"], capture_output=True, text=True).stdout)
    found["files"] = _leaks(_files(django_settings.MCP_DATA_DIR))
    found["repr"] = _leaks("".join(repr(vars(row)) + repr(row) for row in Connection.objects.all()))
    assert {where: forms for where, forms in found.items() if forms} == {}
    # The search finds what is there: a value that is no secret, put in by the same paths.
    assert any("nobody-here" in text for _, text in _raw_rows())


def _raw_rows() -> Iterator[tuple[str, str]]:
    """Yield every table of the panel with all its rows as text."""
    with connection.cursor() as cursor:
        cursor.execute("select quote_ident(tablename) from pg_tables where schemaname = 'public'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"select t::text from {name} t")
            yield name, "\n".join(row for (row,) in cursor.fetchall())


def _files(folder: Path) -> str:
    """Return the text of what the panel itself wrote below its data folder (the servers' own files apart)."""
    own = [path for path in folder.rglob("*") if path.is_file() and not {"postgres", "pg", "valkey"} & set(path.parts)]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in own if path.stat().st_size < 1_000_000)
