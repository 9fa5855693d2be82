"""The OpenAI connector against a real local HTTP server, and the secret type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connections import connectors
from connections.connectors import NotSupported
from mcp_site.core.errors import Rejected
from tests.connections.servers import free_port, http_server

OPENAI = connectors.get("openai")
KEY = "sk-canary-3141592653589793"


def _test(url: str) -> connectors.TestResult:
    return OPENAI.test(connectors.read_config(OPENAI, {"api_key": KEY, "base_url": f"{url}/v1/"}))


def test_a_good_key_lists_the_models() -> None:
    body = json.dumps({"data": [{"id": "a"}, {"id": "b"}]}).encode()

    with http_server(lambda _: (200, {"Content-Type": "application/json"}, body)) as (url, seen):
        result = _test(url)

    assert result.ok
    assert [phase.name for phase in result.phases] == ["resolve", "connect", "authenticate", "query"]
    assert result.phases[-1].detail == "2 models"
    assert seen[0][0] == "/v1/models"
    assert seen[0][1]["Authorization"] == f"Bearer {KEY}"
    assert "unencrypted" in result.warnings[0]


@pytest.mark.parametrize(
    ("status", "body", "phase", "word"),
    [
        (401, b"{}", "authenticate", "key"),
        (403, b"{}", "authenticate", "key"),
        (404, b"{}", "authenticate", "/v1"),
        (429, b"{}", "authenticate", "limit"),
        (500, b"{}", "authenticate", "500"),
        (302, b"", "authenticate", "302"),
        (200, b"<html>", "query", "list of models"),
        (200, b'{"data": 3}', "query", "list of models"),
        (200, b"[]", "query", "list of models"),
        (200, b"x" * (4 * 1024 * 1024 + 1), "connect", "too large"),
    ],
)
def test_each_fault_has_its_phase_and_advice(status: int, body: bytes, phase: str, word: str) -> None:
    echo = {"X-Echo": KEY, "Location": "http://169.254.169.254/"}
    with http_server(lambda _: (status, echo, body)) as (url, _):
        result = _test(url)

    assert not result.ok
    assert result.phases[-1].name == phase
    assert word in result.phases[-1].detail
    assert KEY not in str(result)


def test_nothing_that_listens_and_what_is_refused_are_told_apart(settings: Any) -> None:
    closed = _test(f"http://127.0.0.1:{free_port()}").phases[-1]
    settings.EGRESS_ALLOW = []
    refused = _test(f"http://127.0.0.1:{free_port()}").phases[-1]

    assert (closed.name, refused.name) == ("connect", "resolve")
    assert "EGRESS_ALLOW" in refused.detail


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"api_key": ""}, "config.api_key"),
        ({"api_key": "a\nb"}, "config.api_key"),
        ({"api_key": None}, "config.api_key"),
        ({"base_url": "ftp://x"}, "config.base_url"),
        ({"base_url": "https://user:pass@x"}, "config.base_url"),
        ({"base_url": "https://x?key=1"}, "config.base_url"),
        ({"base_url": "https://x:99999"}, "config.base_url"),
        ({"base_url": "https://"}, "config.base_url"),
        ({"organisation": "x"}, "config.organisation"),
    ],
)
def test_odd_configs_are_refused_without_repeating_the_key(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(Rejected) as caught:
        connectors.read_config(OPENAI, {"api_key": KEY, **changes})

    assert caught.value.attr == path
    assert KEY not in str(caught.value.problems)
    assert "pass@" not in str(caught.value.problems)


def test_a_secret_value_has_nothing_to_test() -> None:
    secret = connectors.get("secret")

    assert secret.capabilities == frozenset()
    with pytest.raises(NotSupported):
        secret.test(connectors.read_config(secret, {"value": "x"}))


@pytest.mark.parametrize("connector", connectors.all_connectors(), ids=lambda connector: connector.name)
def test_every_connector_keeps_the_contract(connector: Any) -> None:
    assert connector.name in connectors.CONNECTORS
    assert connector.label
    assert connector.group in ("database", "provider", "secret")
    assert connector.capabilities <= {"test", "scan", "query"}
    schema = connector.Config.model_json_schema()
    for name in connector.Config.secret_fields():
        assert schema["properties"][name]["secret"] is True
    if connector.group != "database":
        for unsupported in ("scan", "query"):
            with pytest.raises(NotSupported):
                getattr(connector, unsupported)(*([None] if unsupported == "scan" else [None, None]))
