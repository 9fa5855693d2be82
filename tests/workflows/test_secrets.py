"""A secret that a step is given is seen by its process alone."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from connections import services as connections
from mcp_site.core.masking import MASK
from tests.workflows.conftest import make_script
from workflows.engine.worker import Worker
from workflows.models import Run, StepRun

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-7f3a/Zq+secret"
CODE = """
import base64, os, sys
def main(way: str):
    secret = os.environ["VAULT"]
    print("plain", secret)
    print("coded", base64.b64encode(secret.encode()).decode(), file=sys.stderr)
    print("::progress 0.5 at " + secret)
    if way == "raise":
        raise ValueError("broke on " + secret)
    return {"whole": secret, "inside": ["x " + secret + " y"], secret: 1}
"""


@pytest.fixture
def script(ben: User) -> Any:
    connections.create_connection(by=ben, slug="vault", name="Vault", type="secret", config={"value": CANARY})
    secrets = [{"env": "VAULT", "connection": "vault", "field": "value"}]
    return make_script(ben, CODE, secrets=secrets)


def everything_stored() -> str:
    """Return the text of every row of every table, as the database holds it."""
    with connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public'")
        found = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'select t::text from "{table}" t')
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


@pytest.mark.parametrize(("way", "state"), [("return", "succeeded"), ("raise", "failed")])
def test_it_stands_in_no_row_no_file_no_answer_and_no_log(
    api: Callable[[User | None], APIClient],
    ben: User,
    script: Any,
    worker: Worker,
    caplog: pytest.LogCaptureFixture,
    way: str,
    state: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = api(ben)
    run = client.post(f"/api/v1/definitions/{script.slug}/run", {"inputs": {"way": way}}).json()
    worker.work("script")

    step = StepRun.objects.get()
    assert step.state == state, step.error
    answers = [
        client.get(f"/api/v1/runs/{run['id']}{tail}").content.decode()
        for tail in ("", "/steps", "/steps/run", "/events", "/logs", "/artifacts")
    ]
    answers += [
        client.get("/api/v1/connections/vault").content.decode(),
        client.get("/api/v1/connections").content.decode(),
    ]
    kept = [
        path.read_text(errors="replace")
        for path in Path(settings.MCP_DATA_DIR).rglob("artifacts/**/*")
        if path.is_file()
    ]
    everywhere = "\n".join([everything_stored(), *answers, *kept, caplog.text])
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode()):
        assert form not in everywhere
    assert MASK in answers[4]
    if way == "return":
        assert Run.objects.get().output == {"whole": MASK, "inside": [f"x {MASK} y"], MASK: 1}
    else:
        assert step.error["message"] == f"ValueError: broke on {MASK}"


def test_each_use_of_it_is_recorded(
    ben: User, script: Any, worker: Worker, api: Callable[[User | None], APIClient]
) -> None:
    api(ben).post(f"/api/v1/definitions/{script.slug}/run", {"inputs": {"way": "return"}})
    worker.work("script")

    used = AuditEvent.objects.get(action="secret.use")
    assert used.object_name == "vault"
    assert f"run #{Run.objects.get().pk} step run" in str(used.changes)
