"""OpenAI, and every provider that speaks its protocol: a key and a base URL, and a test that lists the models."""

from __future__ import annotations

import json
import ssl
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from connections.connectors import base
from connections.connectors.base import ConnectorFailed, TestResult
from connections.connectors.phases import Trial
from mcp_site.core.egress import EgressRefused, http_client
from mcp_site.core.errors import OtherSideFailed
from mcp_site.core.masking import Masker

_TIMEOUT_SECONDS, _TOTAL_SECONDS = 10.0, 20.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_STATUS_ADVICE = {
    401: "The provider does not accept the key.",
    403: "The key may not list models.",
    404: "There is no list of models there; does base_url end in /v1?",
    429: "The provider says that the key is over its limit.",
}


class OpenAIConfig(base.Config):
    """The key, and where the API is."""

    api_key: str = Field(min_length=1, max_length=1024, repr=False, title="API key", json_schema_extra={"secret": True})
    base_url: str = Field(default="https://api.openai.com/v1", max_length=500, title="Base URL")

    @field_validator("api_key")
    @classmethod
    def _plain_key(cls, key: str) -> str:
        if not key.isascii() or not key.isprintable() or key != key.strip():
            raise ValueError("one line of plain characters")
        return key

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port_is_fine = parts.port is None or parts.port > 0
        except ValueError as exc:
            raise ValueError("an http or https address") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or not url.isprintable():
            raise ValueError("an http or https address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address without user, query and fragment")
        return url.rstrip("/")


class OpenAI(base.Connector):
    """A provider of models with OpenAI's API."""

    name: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI and compatible"
    group: ClassVar[str] = "provider"
    Config: ClassVar[type[base.Config]] = OpenAIConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"test"})

    def test(self, config: Any) -> TestResult:
        """Resolve the host, then ask for the list of models with the key."""
        parts = urlsplit(config.base_url)
        with Trial(Masker([config.api_key])) as trial:
            if parts.scheme == "http":
                trial.warnings.append("The key travels unencrypted: base_url is not https.")
            trial.resolve(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80))
            with trial.phase("connect"):
                status, body = _models(config)
            with trial.phase("authenticate"):
                if status >= 300:
                    raise ConnectorFailed(_STATUS_ADVICE.get(status, f"The provider answered with status {status}."))
            with trial.phase("query") as note:
                note.detail = _count(body)
        return trial.result()


def _models(config: Any) -> tuple[int, bytes]:
    """Return status and body of the list of models. Raises ConnectorFailed."""
    headers = {"Authorization": f"Bearer {config.api_key}", "Accept": "application/json", "Accept-Encoding": "identity"}
    try:
        with (
            http_client(_TIMEOUT_SECONDS, total=_TOTAL_SECONDS) as client,
            client.stream("GET", f"{config.base_url}/models", headers=headers) as answer,
        ):
            body = b""
            # Raw: a small answer that unpacks to gigabytes is not unpacked.
            for piece in answer.iter_raw():
                body += piece
                if len(body) > _MAX_ANSWER_BYTES:
                    raise ConnectorFailed("The provider's answer is too large to be a list of models.")
            return answer.status_code, body
    except (EgressRefused, OtherSideFailed) as exc:
        raise ConnectorFailed(exc.detail, code=exc.code) from exc
    except httpx.TimeoutException as exc:
        raise ConnectorFailed(f"No answer within {_TIMEOUT_SECONDS:.0f} s.") from exc
    except httpx.ConnectError as exc:
        if isinstance(exc.__cause__, ssl.SSLError) or "certificate" in str(exc).lower():
            raise ConnectorFailed("TLS failed: the provider's certificate was not accepted.") from exc
        raise ConnectorFailed("Nothing answers there; check host and port of base_url.") from exc
    except httpx.HTTPError as exc:
        raise ConnectorFailed("The provider's answer is not HTTP as it should be.") from exc


def _count(body: bytes) -> str:
    try:
        models = json.loads(body)["data"]
        return f"{len(models)} models"
    except (ValueError, TypeError, KeyError) as exc:
        raise ConnectorFailed("The answer is not a list of models; is base_url an OpenAI-compatible API?") from exc
