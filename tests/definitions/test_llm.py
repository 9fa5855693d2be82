"""The kind `llm`: references, dry runs, and a provider that speaks OpenAI's protocol on a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from definitions import kinds
from definitions.kinds import Cancelled, ConnectionValues, StepFailed
from tests.definitions.attempts import Heard, context

LLM = kinds.get("llm")
KEY = "sk-very-secret-key"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture(autouse=True)
def allow_loopback(settings: Any) -> None:
    settings.EGRESS_ALLOW = ["loopback"]
    settings.PUBLIC_URL = ""
    settings.MCP_OWN_ADDRESS = ""


@contextmanager
def provider(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[Any]]]:
    """Serve `answer` at POST; give the base URL and the list of (path, headers, body) that came in."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, dict(self.headers), json.loads(body)))
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def head(handler: BaseHTTPRequestHandler, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Type": "text/event-stream", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, event: Any) -> None:
    text = event if isinstance(event, str) else json.dumps(event)
    handler.wfile.write(f"data: {text}\n\n".encode())
    handler.wfile.flush()


def streaming(*pieces: str, end: bool = True) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return an answer in pieces, with usage and an end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler)
        handler.wfile.write(b": a comment\n\n")
        for piece in pieces:
            send(handler, {"model": "tiny-1", "choices": [{"delta": {"content": piece}, "finish_reason": None}]})
        if end:
            send(handler, {"model": "tiny-1", "choices": [{"delta": {}, "finish_reason": "stop"}]})
            send(handler, {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}})
            send(handler, "[DONE]")

    return answer


def refusing(status: int, body: Any = "", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, status, **headers)
        handler.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

    return answer


def asking(base_url: str, inputs: Any = None, *, heard: Heard | None = None, **config: Any) -> kinds.Context:
    rest = {name: config.pop(name) for name in ("timeout", "cancelled", "idempotency_key") if name in config}
    whole = {
        "provider": "openai",
        "model": "tiny",
        "connection": "house",
        "messages": [{"role": "user", "content": "Hello ${{ inputs.name }}"}],
        **config,
    }
    values = ConnectionValues(slug="house", type="openai", config={"api_key": KEY, "base_url": base_url})
    return context(LLM, whole, inputs or {"name": "Ada"}, heard=heard, connections={"house": values}, **rest)


def failure(answer: Callable[[BaseHTTPRequestHandler], None], **config: Any) -> StepFailed:
    with provider(answer) as (url, _), pytest.raises(StepFailed) as caught:
        LLM.run(asking(url, **config))
    assert KEY not in str(caught.value) + json.dumps(caught.value.detail)
    return caught.value


def dry(*contents: str, **config: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents], **config}


def test_a_dry_run_renders_the_last_message_and_says_that_nothing_was_called() -> None:
    config = dry("first", "To ${{ inputs.to.names[1] }}: ${{inputs.n}} of ${{ inputs.list }}, $${{ as it is }}")

    outcome = LLM.run(context(LLM, config, {"to": {"names": ["x", "Ben"]}, "n": 2.5, "list": ["é", None]}))

    assert outcome.output == {
        "text": '[dry run: no model was called] To Ben: 2.5 of ["é", null], ${{ as it is }}',
        "model": "",
        "provider": "dry-run",
        "finish_reason": "dry_run",
        "usage": {"input_tokens": 0, "output_tokens": 0, "cost": 0.0, "currency": "USD"},
    }
    assert LLM.is_short(LLM.Config.model_validate(config))


def test_the_text_of_a_dry_run_is_capped() -> None:
    made = context(LLM, dry("${{ inputs.text }}"), {"text": "x" * 5000})
    assert len(LLM.run(made).output["text"]) == len("[dry run: no model was called] ") + 2000


@pytest.mark.parametrize("path", ["inputs.b", "inputs.a.b", "inputs.a[3]", "inputs.a[0].x", "inputs.t[0]"])
def test_an_input_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(StepFailed, match=r"inputs\.") as caught:
        LLM.run(context(LLM, dry(f"${{{{ {path} }}}}"), {"a": [1], "t": "text"}))

    assert caught.value.error_class == "user_error"
    assert f"`{path.removesuffix('.x') if 'x' not in path else path}`" in caught.value.message


@pytest.mark.parametrize("text", ["${{ 1 + 1 }}", "${{ steps.a.output }}", "${{ inputs }}", "${{ inputs.a", "${{}}"])
def test_what_is_no_plain_path_is_a_problem_at_its_message(text: str) -> None:
    problems = LLM.problems(LLM.Config.model_validate(dry("fine", text)))

    assert [(p.path, p.code) for p in problems] == [("messages.1.content", "invalid_expression")]


def test_a_provider_needs_a_connection_and_a_model_and_a_schema_must_be_one() -> None:
    config = LLM.Config.model_validate(dry("x", provider="openai", response_schema={"type": "nonsense"}))

    assert [(p.path, p.code) for p in LLM.problems(config)] == [
        ("connection", "required"),
        ("model", "required"),
        ("response_schema.type", "invalid_schema"),
    ]


def test_the_inputs_are_read_off_the_messages() -> None:
    config = LLM.Config.model_validate(dry("${{ inputs.a.b }} ${{ inputs.c }}", "${{ inputs.a }} $${{ inputs.d }}"))

    assert LLM.infer(config).input_schema == {
        "type": "object",
        "properties": {"a": {}, "c": {}},
        "required": ["a", "c"],
    }
    assert LLM.connections(config) == []


def test_an_answer_is_heard_piece_by_piece_and_counted() -> None:
    heard = Heard()
    with provider(streaming("Good ", "morning", " é")) as (url, seen):
        made = asking(url, heard=heard, temperature=0, stop=["x"], seed=7, input_price=2, output_price=10)
        outcome = LLM.run(made)

    assert heard.tokens == ["Good ", "morning", " é"]
    assert outcome.output["text"] == "Good morning é"
    assert outcome.output["finish_reason"] == "stop"
    assert outcome.output["model"] == "tiny-1"
    assert outcome.output["usage"] == {"input_tokens": 12, "output_tokens": 3, "cost": 5.4e-05, "currency": "USD"}
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.model) == (12, "tiny-1")
    path, headers, body = seen[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hello Ada"}],
        "temperature": 0,
        "stop": ["x"],
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_an_answer_that_is_not_streamed_is_taken_too() -> None:
    body = {"model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    with provider(refusing(200, body, Content_Type="application/json")) as (url, _):
        assert LLM.run(asking(url)).output["text"] == "hi"


def test_a_formed_answer_is_data_that_keeps_to_the_schema() -> None:
    with provider(streaming('{"n": ', "4}")) as (url, seen):
        outcome = LLM.run(asking(url, response_schema=SCHEMA))

    assert outcome.output["data"] == {"n": 4}
    assert "text" not in outcome.output
    assert seen[0][2]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("said", ["no json", '{"n": "four"}', "{}"])
def test_an_answer_that_breaks_the_schema_fails(said: str) -> None:
    assert failure(streaming(said), response_schema=SCHEMA).error_class == "schema_error"


def test_a_rate_limit_says_when_to_come_back() -> None:
    found = failure(refusing(429, Retry_After="7"))
    assert (found.error_class, found.retry_after) == ("rate_limit", 7.0)

    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = failure(refusing(429, Retry_After=later))
    assert found.retry_after is not None
    assert 50 < found.retry_after <= 60
    assert failure(refusing(429)).retry_after is None


@pytest.mark.parametrize(
    ("status", "body", "error_class", "words"),
    [
        (500, "", "provider_5xx", "500"),
        (503, "", "provider_5xx", "503"),
        (401, "", "user_error", "the provider refused the key of connection house"),
        (403, "", "user_error", "the provider refused the key of connection house"),
        (404, {"error": {"message": f"no model for {KEY}"}}, "user_error", "no model for ••••••"),
        (400, "<html>", "user_error", "<html>"),
        (302, "", "user_error", "base_url"),
    ],
)
def test_a_refusal_is_named(status: int, body: Any, error_class: str, words: str) -> None:
    found = failure(refusing(status, body))

    assert found.error_class == error_class
    assert words in found.message
    assert found.detail == {"status": status}


def test_a_stream_that_breaks_off_is_the_networks_fault() -> None:
    assert failure(streaming("half", end=False)).error_class == "network"


def test_what_is_no_answer_is_the_networks_fault() -> None:
    assert failure(refusing(200, "data: [1, 2]\n\n")).error_class == "network"
    assert failure(refusing(200, "data: {half\n\n")).error_class == "network"


def test_an_error_inside_the_stream_is_the_providers() -> None:
    found = failure(refusing(200, 'data: {"error": {"message": "overloaded"}}\n\n'))

    assert (found.error_class, found.message) == ("provider_5xx", "the provider gave up: overloaded")


def test_nobody_listening_is_the_networks_fault() -> None:
    with provider(streaming()) as (url, _):
        pass
    with pytest.raises(StepFailed) as caught:
        LLM.run(asking(url))
    assert caught.value.error_class == "network"


def test_an_address_that_may_not_be_reached_is_the_authors_fault(settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    found = failure(streaming("x"))

    assert found.error_class == "user_error"
    assert "EGRESS_ALLOW" in found.message


def test_a_connection_that_is_missing_or_of_another_type_fails() -> None:
    config = dry("x", provider="openai", model="m", connection="house")
    other = ConnectionValues(slug="house", type="sqlite", config={})
    for connections in ({}, {"house": other}):
        with pytest.raises(StepFailed) as caught:
            LLM.run(context(LLM, config, connections=connections))
        assert caught.value.error_class == "user_error"


def hanging(handler: BaseHTTPRequestHandler) -> None:
    head(handler)
    send(handler, {"choices": [{"delta": {"content": "a"}}]})
    time.sleep(3)


def test_a_slow_answer_ends_at_its_time() -> None:
    start = time.monotonic()
    found = failure(hanging, timeout=0.4)

    assert found.error_class == "timeout"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("answer", [hanging, lambda handler: time.sleep(3)])
def test_a_cancelled_call_ends_while_it_waits(answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    start = time.monotonic()

    with provider(answer) as (url, _), pytest.raises(Cancelled):
        LLM.run(asking(url, cancelled=cancelled.is_set))

    assert time.monotonic() - start < 10
