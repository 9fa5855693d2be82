"""One chat completion from a provider with OpenAI's API: streamed, stoppable at any moment, every failure named.

The stream is read by hand, because what a provider sends is checked here anyway and no client library could be
told to stop while it waits for the first token.
"""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from mcp_site.core import clock
from mcp_site.core.errors import AppError
from mcp_site.core.masking import Masker

if TYPE_CHECKING:
    import httpx

Failure = Literal["user_error", "rate_limit", "network", "provider_5xx", "timeout"]

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 0.2


class Stopped(Exception):
    """The call was told to stop and did."""


class CallFailed(Exception):
    """The provider gave no answer; `failure` is the class of the failure, `retry_after` is in seconds."""

    def __init__(
        self, failure: Failure, message: str, *, retry_after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.retry_after = retry_after
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask whom. `body` is the request without the fields of streaming."""

    connection: str
    base_url: str
    api_key: str = field(repr=False)
    body: Mapping[str, Any]
    idempotency_key: str = ""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came back."""

    text: str = ""
    model: str = ""
    finish_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


def chat(
    call: Call, *, timeout: float | None, cancelled: Callable[[], bool], on_token: Callable[[str], None]
) -> Answer:
    """Return the whole answer, giving its pieces to `on_token` as they come. Raises CallFailed, Stopped."""
    # httpx takes 60 ms to import and most workers never call a model.
    import httpx

    masker = Masker([call.api_key])
    with _Watch(timeout, cancelled) as watch:
        try:
            return _exchange(call, watch, on_token, masker)
        except CallFailed as exc:
            watch.raise_if_stopped(exc)
            raise
        except AppError as exc:
            # The guard of outgoing connections said no, or the name has no address.
            failure: Failure = "user_error" if exc.code == "egress_refused" else "network"
            raise CallFailed(failure, masker.text(exc.detail)) from exc
        except httpx.TimeoutException as exc:
            watch.raise_if_stopped(exc)
            raise CallFailed("timeout", "the provider did not answer in time") from exc
        except httpx.ConnectError as exc:
            watch.raise_if_stopped(exc)
            raise CallFailed("network", "the provider can't be reached; check base_url of the connection") from exc
        except (httpx.HTTPError, OSError) as exc:
            watch.raise_if_stopped(exc)
            raise CallFailed("network", "the connection to the provider broke") from exc


class _Watch:
    """Ends a blocking exchange when it is cancelled or out of time, by shutting its socket down from a thread.

    Closing would not wake a thread that waits for bytes; shutting down does, and tells the provider to stop.
    """

    def __init__(self, timeout: float | None, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._timeout = timeout
        self._deadline = monotonic() + timeout if timeout is not None else math.inf
        self._socket: socket.socket | None = None
        self._reason = ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="llm-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """Note the socket when httpx has connected, and the one that TLS puts in its place."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def _poll(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            if not self._reason:
                self._look()
            found = self._socket
            if self._reason and found is not None:
                try:
                    # Past SSLSocket's own method, which would also drop the state that the reader is using.
                    socket.socket.shutdown(found, socket.SHUT_RDWR)
                except OSError:
                    pass  # closed already

    def _look(self) -> None:
        if self._cancelled():
            self._reason = "cancelled"
        elif monotonic() >= self._deadline:
            self._reason = "timeout"

    def raise_if_stopped(self, cause: BaseException | None = None) -> None:
        """Raise Stopped or CallFailed if the exchange was ended from here."""
        self._look()
        if self._reason == "cancelled":
            raise Stopped from cause
        if self._reason == "timeout":
            raise CallFailed("timeout", f"the answer was not complete after {self._timeout:g} s") from cause


def _exchange(call: Call, watch: _Watch, on_token: Callable[[str], None], masker: Masker) -> Answer:
    # Both stand on httpx; see `chat`.
    import httpx

    from mcp_site.core.egress import http_client

    watch.raise_if_stopped()
    headers = {"Authorization": f"Bearer {call.api_key}", "Accept": "text/event-stream"}
    if call.idempotency_key:
        headers["Idempotency-Key"] = call.idempotency_key
    body = {**call.body, "stream": True, "stream_options": {"include_usage": True}}
    # Waiting for tokens is bounded by the watch, not by each read.
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    url = f"{call.base_url.rstrip('/')}/chat/completions"
    with (
        http_client(timeout) as client,
        client.stream("POST", url, headers=headers, json=body, extensions={"trace": watch.trace}) as response,
    ):
        if response.status_code != 200:
            raise _refusal(call, response, masker)
        return _answer(response, watch, on_token, masker)


def _answer(response: httpx.Response, watch: _Watch, on_token: Callable[[str], None], masker: Masker) -> Answer:
    answer, pieces = Answer(), []
    for data in _events(response):
        watch.raise_if_stopped()
        piece = _take(answer, data, masker)
        if piece:
            pieces.append(piece)
            on_token(piece)
    if answer.finish_reason is None:
        raise CallFailed("network", "the provider's answer broke off before its end")
    answer.text = "".join(pieces)
    return answer


def _events(response: httpx.Response) -> Iterator[str]:
    """Yield the data of each server-sent event up to `[DONE]`; a plain JSON answer counts as one event."""
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        yield b"".join(_capped(response, MAX_ANSWER_BYTES)).decode("utf-8", "replace")
        return
    rest = b""
    for chunk in _capped(response, MAX_ANSWER_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip().decode("utf-8", "replace")
            if data == "[DONE]":
                return
            yield data


def _capped(response: httpx.Response, limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > limit:
            raise CallFailed("user_error", f"the answer is larger than {limit // 1024 // 1024} MiB")
        yield chunk


def _take(answer: Answer, data: str, masker: Masker) -> str:
    """Put what an event says into `answer` and return its piece of text."""
    try:
        event = json.loads(data)
        if event.get("error"):
            raise CallFailed("provider_5xx", f"the provider gave up: {_message(event, masker)}")
        answer.model = event.get("model") or answer.model
        usage = event.get("usage") or {}
        answer.input_tokens = int(usage.get("prompt_tokens") or answer.input_tokens)
        answer.output_tokens = int(usage.get("completion_tokens") or answer.output_tokens)
        choice: dict[str, Any] = next(iter(event.get("choices") or []), {})
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        said = choice.get("delta") or choice.get("message") or {}
        return str(said.get("content") or "")
    except (ValueError, TypeError, AttributeError) as exc:
        raise CallFailed("network", "the provider's answer is not in the form of OpenAI's API") from exc


def _refusal(call: Call, response: httpx.Response, masker: Masker) -> CallFailed:
    status = response.status_code
    if status == 429:
        after = seconds_of(response.headers.get("retry-after"))
        return CallFailed("rate_limit", "the provider is over its rate limit (429)", retry_after=after, status=status)
    if status >= 500:
        return CallFailed("provider_5xx", f"the provider failed with status {status}", status=status)
    if status in (401, 403):
        message = f"the provider refused the key of connection {call.connection} ({status})"
        return CallFailed("user_error", message, status=status)
    if status < 400:
        message = f"the provider answered with status {status}; check base_url of connection {call.connection}"
        return CallFailed("user_error", message, status=status)
    return CallFailed("user_error", f"the provider said no ({status}): {_said(response, masker)}", status=status)


def _said(response: httpx.Response, masker: Masker) -> str:
    """Return the provider's own words in an error answer."""
    text = b"".join(_capped(response, _MAX_ERROR_BYTES)).decode("utf-8", "replace")
    try:
        return _message(json.loads(text), masker)
    except ValueError:
        return masker.text(text)[:300] or "no reason given"


def _message(body: Any, masker: Masker) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return masker.text(str(message))[:1000] if message else "no reason given"


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - clock.now()).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
