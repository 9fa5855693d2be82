"""A webhook: JSON by POST, signed as the Standard Webhooks specification has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, ClassVar

from pydantic import Field, field_validator

from monitoring.channels import base
from monitoring.channels.http import post


class WebhookConfig(base.Config):
    """Where to, and the key of the signature."""

    url: str = Field(max_length=2000, description="https://… that takes a POST")
    secret: str = Field(
        default="",
        max_length=200,
        description="signs each message; made by the panel if you give none",
        json_schema_extra={"secret": True, "generated": True},
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value

    @field_validator("secret")
    @classmethod
    def _is_long(cls, value: str) -> str:
        if value and len(value) < 16:
            raise ValueError("must have at least 16 characters")
        return value


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,<base64>` of the HMAC-SHA256 over `<id>.<timestamp>.<body>`; the key is the secret's UTF-8 bytes."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


class Webhook(base.Channel):
    """POSTs the message. `webhook-id` is the same over every try; `webhook-timestamp` is that of the try."""

    name = "webhook"
    label = "Webhook"
    description = "Signed JSON to an address of yours."
    Config: ClassVar[type[base.Config]] = WebhookConfig

    def send(self, config: Any, message: base.Message) -> base.Sent:
        """Send once."""
        body = json.dumps(message.as_json(), ensure_ascii=False).encode()
        now = int(time.time())
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(config.secret, message.id, now, body),
        }
        post(config.url, body, headers)
        return base.Sent()
