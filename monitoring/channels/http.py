"""What channels that speak HTTP share: one guarded POST, and which failures are worth another try."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from mcp_site.core.egress import EgressRefused, HostUnknown, http_client
from monitoring.channels.base import SendFailed

TIMEOUT = 10.0
# What a busy or broken receiver answers; any other refusal will be the same the next time.
_AGAIN = frozenset({408, 409, 425, 429})
LONGEST_WAIT = 3600.0


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON to `url`. Raises SendFailed unless the answer is 2xx. Follows no redirect."""
    try:
        with http_client(timeout=TIMEOUT) as client:
            answer = client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except EgressRefused as exc:
        raise SendFailed(exc.detail, permanent=True) from exc
    except HostUnknown as exc:
        raise SendFailed("The name of the receiver can't be resolved.") from exc
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        raise SendFailed("The address of the receiver is not one.", permanent=True) from exc
    except httpx.HTTPError as exc:
        # The type only: an address may hold a secret.
        raise SendFailed(f"The receiver did not answer: {type(exc).__name__}.") from exc
    if answer.is_success:
        return
    again = answer.status_code in _AGAIN or answer.status_code >= 500
    raise SendFailed(
        f"The receiver answered {answer.status_code}.",
        permanent=not again,
        retry_after=_seconds(answer.headers.get("Retry-After", "")),
    )


def _seconds(text: str) -> float | None:
    return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdecimal() and len(text) < 9 else None
