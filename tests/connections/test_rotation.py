"""Changing the keys that seal, while the panel serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, connections

from accounts.models import AuditEvent, User
from connections import services
from connections.models import Connection
from mcp_site.core.sealing import key_id, seal, unseal
from mcp_site.management import rotation

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def _old_key(settings: Any) -> None:
    settings.MCP_SECRET_KEYS = [OLD]


def _make(by: User, count: int) -> list[Connection]:
    return [
        services.create_connection(
            by=by, slug=f"secret-{n}", name=f"Secret {n}", type="secret", config={"value": f"value-{n}"}
        )
        for n in range(count)
    ]


def _run(*words: str) -> str:
    out = StringIO()
    call_command("rotate_secrets", *words, stdout=out)
    return out.getvalue()


def _value(made: Connection) -> str:
    fresh = Connection.objects.get(pk=made.pk)
    return unseal(fresh.secrets["value"], fresh.seal_place("value"))


def test_every_column_that_holds_sealed_text_is_known() -> None:
    labels = {column.label for column in rotation.columns()}

    assert {"connections.Connection.secrets", "workflows.Trigger.secret", "monitoring.Channel.secrets"} <= labels


def test_rotation_brings_all_to_the_first_key_and_reports(ben: User, settings: Any) -> None:
    made = _make(ben, 7)
    before = Connection.objects.get(pk=made[0].pk)
    settings.MCP_SECRET_KEYS = [NEW, OLD]

    assert f"7 by key {key_id(OLD)}" in _run("--status")
    said = _run("--batch", "3")

    assert "connections.Connection.secrets: 3 of 7 rows" in said
    assert "connections.Connection.secrets: 7 of 7 rows" in said
    assert f"key {key_id(NEW)}: 7 secrets, seals" in said
    assert f"key {key_id(OLD)}: 0 secrets" in said
    settings.MCP_SECRET_KEYS = [NEW]
    assert [_value(one) for one in made] == [f"value-{n}" for n in range(7)]
    after = Connection.objects.get(pk=made[0].pk)
    assert (after.revision, after.updated_at) == (before.revision, before.updated_at)
    assert AuditEvent.objects.filter(action="secrets.rotate").count() == 1
    assert "rows" not in _run().split("key ")[0]


def test_a_key_in_use_is_not_let_go(ben: User, settings: Any) -> None:
    _make(ben, 2)
    settings.MCP_SECRET_KEYS = [NEW, OLD]

    with pytest.raises(CommandError, match=r"in use: connections\.Connection\.secrets \(2\)"):
        _run("--retire", key_id(OLD))
    with pytest.raises(CommandError, match="the one that seals"):
        _run("--retire", key_id(NEW))
    with pytest.raises(CommandError, match="no key"):
        _run("--retire", "00000000")
    _run()
    assert "take it out" in _run("--retire", key_id(OLD))


def test_what_an_earlier_version_sealed_opens_counts_and_moves(ben: User, settings: Any) -> None:
    (made,) = _make(ben, 1)
    name = f"v2:{key_id(OLD)}:"
    Connection.objects.filter(pk=made.pk).update(secrets={"value": made.secrets["value"].replace(name, "v1:")})
    settings.MCP_SECRET_KEYS = [NEW, OLD]

    assert _value(made) == "value-0"
    assert "does not name" in _run("--status")
    with pytest.raises(CommandError, match="in use"):
        _run("--retire", key_id(OLD))
    _run()
    assert Connection.objects.get(pk=made.pk).secrets["value"].startswith(f"v2:{key_id(NEW)}:")


def test_what_no_key_opens_is_reported_and_left_alone(ben: User, settings: Any) -> None:
    lost, kept = _make(ben, 2)
    sealed = Connection.objects.get(pk=lost.pk).secrets
    settings.MCP_SECRET_KEYS = [NEW]
    Connection.objects.filter(pk=kept.pk).update(secrets={"value": seal("new", kept.seal_place("value"))})

    assert "1 by a key that is not in MCP_SECRET_KEYS" in _run("--status")
    with pytest.raises(CommandError, match="1 rows hold a secret that no key"):
        _run()
    assert Connection.objects.get(pk=lost.pk).secrets == sealed
    settings.MCP_SECRET_KEYS = [NEW, OLD]
    _run()
    assert _value(lost) == "value-0"


def test_a_secret_that_is_changed_meanwhile_keeps_the_change(ben: User, settings: Any) -> None:
    made = _make(ben, 20)
    settings.MCP_SECRET_KEYS = [NEW, OLD]

    def change() -> None:
        try:
            for one in made:
                services.update_connection(by=ben, connection=one, config={"value": "changed"})
        finally:
            connections.close_all()

    writer = threading.Thread(target=change)
    writer.start()
    _run("--batch", "1")
    writer.join()
    _run()

    assert {_value(one) for one in made} == {"changed"}


def test_a_rotation_that_was_killed_goes_on_where_it_was(ben: User, settings: Any) -> None:
    made = _make(ben, 40)
    settings.MCP_SECRET_KEYS = [NEW, OLD]
    own = connection.settings_dict
    url = f"postgres://{own['USER']}:{own['PASSWORD'] or ''}@/{own['NAME']}"
    host = {"PGHOST": str(own["HOST"] or ""), "PGPORT": str(own["PORT"] or "")}
    environment = {
        **os.environ,
        **{name: value for name, value in host.items() if value},
        "DATABASE_URL": url,
        "MCP_SECRET_KEYS": f"{NEW},{OLD}",
    }
    command = [sys.executable, "manage.py", "rotate_secrets", "--batch", "1"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if " 5 of 40" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.wait(20)
    process.stdout.close()

    left = rotation.left(next(column for column in rotation.columns() if column.model is Connection))
    assert 0 < left <= 35
    assert [_value(one) for one in made] == [f"value-{n}" for n in range(40)]
    assert f"of {left} rows" in _run()
    settings.MCP_SECRET_KEYS = [NEW]
    assert [_value(one) for one in made] == [f"value-{n}" for n in range(40)]


def test_without_keys_the_command_says_so(settings: Any) -> None:
    settings.MCP_SECRET_KEYS = []

    with pytest.raises(CommandError, match="MCP_SECRET_KEYS"):
        _run()
