"""The whole way: a model's accuracy falls below its rule, people hear of it once, and it resolves by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from mcp_site.core import clock
from monitoring import alerting, rollups
from monitoring.models import Delivery
from tests.monitoring.receiver import receiving

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], APIClient]
SECRET = "a secret of the receiver's"


def _signed(headers: dict[str, str], body: bytes) -> str:
    """Compute the signature as a receiver does, from the specification alone."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()


def _report(client: APIClient, accuracy: float, times: int = 3) -> None:
    for _ in range(times):
        body = {"model_name": "penguins", "latency_ms": 20, "accuracy": accuracy}
        assert client.post("/metrics/performance", body).status_code == 201


def _tick() -> None:
    """Do what the clock does within ten seconds of a sample."""
    rollups.roll_up(60)
    alerting.evaluate()


def test_one_alert_one_signed_webhook_and_it_resolves_by_itself(
    api: Api, ada: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, editor = api(ada), api(ben)
    with receiving() as receiver:
        channel = {"slug": "hook", "name": "Hook", "type": "webhook", "config": {"url": receiver.url, "secret": SECRET}}
        assert editor.post("/api/v1/channels", channel).status_code == 201
        rule = {
            "name": "Accuracy",
            "metric": "model.accuracy",
            "aggregate": "avg",
            "comparison": "<",
            "threshold": 0.9,
            "window": "5m",
            "channels": ["hook"],
        }
        assert editor.post("/api/v1/alert-rules", rule).status_code == 201
        _report(admin, 0.95)
        _tick()
        assert editor.get("/api/v1/alerts").json()["results"] == []

        _report(admin, 0.5)
        for _ in range(3):
            _tick()

        (alert,) = editor.get("/api/v1/alerts").json()["results"]
        assert (alert["state"], alert["severity"], alert["tags"]) == ("open", "alert", {"model": "penguins"})
        assert alert["value"] == pytest.approx(0.725)
        assert alert["samples"][-1][1] == pytest.approx(0.725)

        receiver.answers = [500, 0]
        tries = 0
        while Delivery.objects.filter(state="pending").exists() and tries < 10:
            tries += 1
            alerting.deliver(clock.now() + timedelta(hours=1))
        assert tries == 3
        assert len(receiver.requests) == 3
        assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
        for headers, body in receiver.requests:
            assert headers["webhook-signature"] == _signed(headers, body)
        (message,) = receiver.accepted
        assert (message["happening"], message["alert"], message["rule"]) == ("opened", alert["id"], "Accuracy")

        _recover(admin, monkeypatch)

        alerting.deliver(clock.now())
        (closed,) = editor.get("/api/v1/alerts").json()["results"]
        assert (closed["id"], closed["state"], closed["resolved_by"]) == (alert["id"], "resolved", None)
        assert [message["happening"] for message in receiver.accepted] == ["opened", "resolved"]
        log: list[dict[str, Any]] = editor.get("/api/v1/channels/hook/deliveries").json()["results"]
        assert [(one["happening"], one["state"], one["attempts"]) for one in log] == [
            ("resolved", "sent", 1),
            ("opened", "sent", 3),
        ]


def _recover(admin: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten minutes pass, in which the model does well again."""
    later = clock.now() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "now", lambda: later)
    _report(admin, 0.96)
    _tick()
