"""The contract between the panel and a channel: given a config and a message, never rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class SendFailed(Exception):
    """The message did not arrive. `permanent`: trying again would not help; else, perhaps, not before `retry_after` s.

    Its text is shown to people, so it holds no secret.
    """

    def __init__(self, detail: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        self.permanent = permanent
        self.retry_after = retry_after
        super().__init__(detail)


class Config(BaseModel):
    """Base of every channel's config. A field with `json_schema_extra={"secret": True}` is sealed at rest.

    One with `{"secret": True, "generated": True}` is made by the panel where nobody gives it, and shown once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def _marked(cls, mark: str) -> frozenset[str]:
        fields = cls.model_fields.items()
        return frozenset(
            n for n, f in fields if isinstance(f.json_schema_extra, dict) and f.json_schema_extra.get(mark)
        )

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Return the names of the fields that are sealed."""
        return cls._marked("secret")

    @classmethod
    def generated_fields(cls) -> frozenset[str]:
        """Return the names of the secrets that the panel makes."""
        return cls._marked("generated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told: `id` stays the same over every try, so that a receiver can tell a repetition."""

    id: str
    happening: str
    at: datetime
    title: str
    severity: str
    state: str
    text: str
    url: str
    alert: str | None = None
    rule: str | None = None
    metric: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    threshold: float | None = None
    comparison: str = ""
    opened_at: str | None = None
    resolved_at: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the message as receivers get it."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it: nothing more to do, or lines for the inboxes of people in these roles."""

    inbox_roles: tuple[str, ...] = ()


class Channel(ABC):
    """One type of channel."""

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    Config: ClassVar[type[Config]]

    @abstractmethod
    def send(self, config: Any, message: Message) -> Sent:
        """Send once. Raises SendFailed, and nothing else that it expects."""
