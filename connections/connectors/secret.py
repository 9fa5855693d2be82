"""One secret value, for scripts and notebooks that name it; there is nothing to connect to."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from connections.connectors import base
from connections.connectors.base import NotSupported, TestResult


class SecretConfig(base.Config):
    """The value."""

    value: str = Field(min_length=1, max_length=64 * 1024, repr=False, json_schema_extra={"secret": True})


class Secret(base.Connector):
    """A secret by itself."""

    name: ClassVar[str] = "secret"
    label: ClassVar[str] = "Secret value"
    group: ClassVar[str] = "secret"
    Config: ClassVar[type[base.Config]] = SecretConfig

    def test(self, config: Any) -> TestResult:
        """There is no other side. Raises NotSupported."""
        raise NotSupported("A secret value has no other side to test.")
