"""The inboxes in the panel itself."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from monitoring.channels import base


class InboxConfig(base.Config):
    """Whose inboxes: everyone in these roles who may see what the alert is about."""

    roles: list[Literal["Viewer", "Editor", "Admin"]] = Field(default=["Editor", "Admin"], min_length=1)


class Inbox(base.Channel):
    """Puts a line into the inboxes; the panel writes it, since plug-ins see no rows."""

    name = "inbox"
    label = "Inbox"
    description = "A line under Notifications for everyone in some roles."
    Config: ClassVar[type[base.Config]] = InboxConfig

    def send(self, config: Any, message: base.Message) -> base.Sent:
        """Say whose."""
        return base.Sent(inbox_roles=tuple(dict.fromkeys(config.roles)))
