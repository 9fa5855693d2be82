"""The panel does not start unsafely: web and workers look first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from mcp_site import checks

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "PUBLIC_URL": "https://panel.example.com",
    "MCP_LOCAL": "0",
    "MCP_DATA_DIR": "/nonexistent",
    "DATABASE_URL": "postgres:///nothing",
    "SECRET_KEY": "Zt3k_9fQe7LwXy2aVbN8mRc4uJd6hGp1sTi0oKq5",
    "MCP_SECRET_KEYS": Fernet.generate_key().decode(),
}


def found(settings: Any, **values: Any) -> set[str]:
    """Return the ids of what is wrong with a safe panel once `values` are set."""
    safe = {
        "MCP_LOCAL": False,
        "PUBLIC_URL": SAFE["PUBLIC_URL"],
        "MCP_INSECURE_HTTP": False,
        "SECRET_KEY": SAFE["SECRET_KEY"],
        "SECRET_KEY_IS_EPHEMERAL": False,
        "ALLOWED_HOSTS": ["panel.example.com"],
        "DEBUG": False,
        "CORS_ALLOW_ALL_ORIGINS": False,
        "CORS_ALLOW_CREDENTIALS": False,
        "REGISTRATION": "invite",
        "SELF_REGISTRATION_ROLES": ["Viewer"],
    }
    for name, value in {**safe, **values}.items():
        setattr(settings, name, value)
    rules = (checks.cross_origin, checks.registration, checks.networks, checks.production)
    return {str(message.id).removeprefix("mcp_site.") for rule in rules for message in rule()}


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({}, set()),
        ({"PUBLIC_URL": "http://panel.example.com"}, {"E011"}),
        ({"PUBLIC_URL": "", "MCP_INSECURE_HTTP": True}, set()),
        ({"SECRET_KEY_IS_EPHEMERAL": True}, {"E001"}),
        ({"SECRET_KEY": "short"}, {"E010"}),
        ({"SECRET_KEY": "a" * 60}, {"E010"}),
        ({"SECRET_KEY": "django-insecure-Zt3k_9fQe7LwXy2aVbN8mRc4uJd6hGp1sTi0"}, {"E010"}),
        ({"MCP_SECRET_KEYS": []}, {"E004"}),
        ({"ALLOWED_HOSTS": ["*"]}, {"E005"}),
        ({"DEBUG": True}, {"E007"}),
        ({"CORS_ALLOW_ALL_ORIGINS": True}, set()),
        ({"CORS_ALLOW_ALL_ORIGINS": True, "CORS_ALLOW_CREDENTIALS": True}, {"E006"}),
        ({"REGISTRATION": "everybody"}, {"E008"}),
        ({"SELF_REGISTRATION_ROLES": ["Viewer", "Admin"]}, {"E009"}),
        ({"METRICS_ALLOW": ["10.0.0.0/8", "home"]}, {"E012"}),
    ],
)
def test_each_unsafe_setting_has_its_number(settings: Any, values: dict[str, Any], ids: set[str]) -> None:
    assert found(settings, **values) == ids


def test_on_ones_own_machine_there_is_less_to_ask(settings: Any) -> None:
    assert found(settings, MCP_LOCAL=True, PUBLIC_URL="", DEBUG=True, ALLOWED_HOSTS=["*"]) == set()


@pytest.mark.parametrize(
    ("environment", "number"), [({"SECRET_KEY": "change-me-please-" + "x1y2z3" * 8}, "E010"), ({"DEBUG": "1"}, "E007")]
)
@pytest.mark.parametrize(
    "program", ["import mcp_site.asgi", "from mcp_site import celery; celery._learn_queues('', None)"]
)
def test_neither_web_nor_worker_starts(environment: dict[str, str], number: str, program: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    setup = f"import django; django.setup(); {program}"
    ended = subprocess.run(
        [sys.executable, "-c", setup],
        env={**kept, **SAFE, **environment, "DJANGO_SETTINGS_MODULE": "mcp_site.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.returncode == 78
    assert f"mcp_site.{number}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SAFE["MCP_SECRET_KEYS"] not in ended.stderr
