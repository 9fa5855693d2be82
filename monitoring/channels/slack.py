"""A webhook in the shape that Slack takes (Mattermost and Rocket.Chat too)."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pydantic import Field, field_validator

from monitoring.channels import base
from monitoring.channels.http import post


class SlackConfig(base.Config):
    """The address is the secret: whoever has it may post."""

    url: str = Field(max_length=2000, description="incoming webhook address", json_schema_extra={"secret": True})

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value


class Slack(base.Channel):
    """POSTs one message with a link."""

    name = "slack"
    label = "Slack"
    description = "A message by an incoming webhook of Slack, Mattermost or Rocket.Chat."
    Config: ClassVar[type[base.Config]] = SlackConfig

    def send(self, config: Any, message: base.Message) -> base.Sent:
        """Send once."""
        head = f"[{message.severity} {message.happening}] {message.title}"
        blocks = [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_plain(head)}*\n{_plain(message.text)}"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{message.url}|Open in the panel>"}]},
        ]
        post(config.url, json.dumps({"text": _plain(head), "blocks": blocks}).encode(), {})
        return base.Sent()


def _plain(text: str) -> str:
    """Return `text` so that nothing in it is a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
