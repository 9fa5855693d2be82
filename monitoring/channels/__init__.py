"""The table of channel types. Others import this package, never a module inside it."""

from __future__ import annotations

from mcp_site.core.registry import Registry
from monitoring.channels.base import Channel, Config, Message, SendFailed, Sent

CHANNELS: Registry[Channel] = Registry(
    {
        "email": "monitoring.channels.email:Email",
        "webhook": "monitoring.channels.webhook:Webhook",
        "slack": "monitoring.channels.slack:Slack",
        "inbox": "monitoring.channels.inbox:Inbox",
    },
    group="mcp_panel.channels",
)


def get(name: str) -> Channel:
    """Return the channel type called `name`. Raises UnknownPlugin."""
    return CHANNELS.get(name)


def all_channels() -> list[Channel]:
    """Return every channel type in the order of the table."""
    return CHANNELS.all()


__all__ = ["CHANNELS", "Channel", "Config", "Message", "SendFailed", "Sent", "all_channels", "get"]
