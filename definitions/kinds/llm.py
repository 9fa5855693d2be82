"""The kind `llm`: a prompt with references to inputs, answered by a model, or only rendered in a dry run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from definitions import llm
from definitions.kinds import base
from definitions.kinds.base import Cancelled, Context, Inferred, Outcome, StepFailed, Usage
from mcp_site.core.documents import load_json
from mcp_site.core.errors import Problem, Rejected
from mcp_site.core.schemas import problems_of_schema, problems_of_value

DRY_RUN_NOTE = "[dry run: no model was called]"
_DRY_RUN_CHARACTERS = 2_000
# `$${{` writes a literal `${{`, as in graphs.
_TOKEN = re.compile(r"(?P<literal>\$\$\{\{)|\$\{\{(?P<source>.*?)\}\}|(?P<open>\$\{\{)", re.DOTALL)
_PATH = re.compile(r"inputs\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*")
_PATH_PART = re.compile(r"\[\d+\]|\w+")


class BadTemplate(ValueError):
    """A message holds a reference that is not a plain path of an input."""


# One piece of a message: text, or where a value stands below the inputs.
Part = str | tuple[str | int, ...]


class Message(BaseModel):
    """One message of the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"] = "user"
    content: str = Field(min_length=1, max_length=200_000, description="Text with ${{ inputs.name }} references.")


class LlmConfig(base.Config):
    """Whom to ask, what, and in which form the answer is wanted."""

    provider: Literal["openai", "dry-run"] = "dry-run"
    model: str = Field(default="", max_length=200, description="The provider's name of the model.")
    connection: str = Field(default="", max_length=200, description="Slug of a connection of type openai.")
    messages: tuple[Message, ...] = Field(min_length=1, max_length=200)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    stop: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=16)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    response_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of the answer, which is then parsed, checked and given as `data`."
    )
    input_price: float | None = Field(default=None, ge=0, description="USD per million input tokens.")
    output_price: float | None = Field(default=None, ge=0, description="USD per million output tokens.")


class Llm(base.Kind):
    """A prompt for a language model."""

    name: ClassVar[str] = "llm"
    label: ClassVar[str] = "LLM"
    description: ClassVar[str] = "A prompt with references to inputs, answered by a model."
    queue: ClassVar[str] = "llm"
    Config: ClassVar[type[base.Config]] = LlmConfig
    on_lost: ClassVar[Literal["retry", "fail"]] = "retry"
    default_timeout: ClassVar[float] = 600.0
    ui: ClassVar[Mapping[str, Any]] = {
        "provider": {"widget": "select"},
        "connection": {"widget": "connection", "types": ["openai"], "when": {"provider": "openai"}},
        "messages": {"widget": "messages", "rows": 8},
        "response_schema": {"widget": "code", "language": "json", "rows": 10},
    }

    def run(self, context: Context) -> Outcome:
        """Render the messages and, unless it is a dry run, ask the provider. Raises StepFailed, Cancelled."""
        config: LlmConfig = context.config
        messages = [{"role": m.role, "content": _render(m.content, context.inputs)} for m in config.messages]
        if config.provider == "dry-run":
            return _dry_run(config, messages)
        answer = _ask(config, messages, context)
        usage = Usage(
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost=_cost(config, answer),
            model=answer.model or config.model,
        )
        output = {
            **_content(config, answer),
            "model": usage.model,
            "provider": config.provider,
            "finish_reason": answer.finish_reason,
            "usage": _usage_json(usage),
        }
        return Outcome(output=output, usage=usage)

    def problems(self, config: Any) -> list[Problem]:
        """Return references that are no plain paths, what a provider needs and misses, and faults of the schema."""
        found = []
        for index, message in enumerate(config.messages):
            try:
                _parts(message.content)
            except BadTemplate as exc:
                found.append(Problem(f"messages.{index}.content", "invalid_expression", str(exc)))
        if config.provider == "openai":
            if not config.connection:
                found.append(Problem("connection", "required", "the provider needs a connection of type openai"))
            if not config.model:
                found.append(Problem("model", "required", "name the provider's model"))
        if config.response_schema is not None:
            found += [
                Problem(f"response_schema.{p.path}".rstrip("."), p.code, p.detail)
                for p in problems_of_schema(config.response_schema)
            ]
        return found

    def infer(self, config: Any) -> Inferred:
        """Return the inputs that the messages name, and the answer's schema if one is asked for."""
        names: dict[str, None] = {}
        for message in config.messages:
            try:
                parts = _parts(message.content)
            except BadTemplate:
                continue  # `problems` reports it
            names.update((str(part[0]), None) for part in parts if not isinstance(part, str))
        inputs = {"type": "object", "properties": {name: {} for name in names}, "required": list(names)}
        return Inferred(input_schema=inputs, output_schema=_output_schema(config))

    def connections(self, config: Any) -> list[str]:
        """Return the provider's connection; a dry run needs none."""
        return [config.connection] if config.provider == "openai" and config.connection else []

    def is_short(self, config: Any) -> bool:
        """Tell whether it is a dry run."""
        return bool(config.provider == "dry-run")

    def summary(self, config: Any) -> str:
        """Return the model, or that none is called."""
        return f"{config.model} ({config.provider})" if config.provider != "dry-run" else "dry run"


@lru_cache(maxsize=1024)
def _parts(content: str) -> tuple[Part, ...]:
    """Split a message into text and paths. Raises BadTemplate."""
    parts: list[Part] = []
    position = 0
    for match in _TOKEN.finditer(content):
        if match["open"]:
            raise BadTemplate("`${{` without `}}`; write `$${{` for the characters themselves")
        parts.append(content[position : match.start()])
        position = match.end()
        if match["literal"]:
            parts.append("${{")
            continue
        source = match["source"].strip()
        if not _PATH.fullmatch(source):
            raise BadTemplate(f"`{source[:100]}` is not a path such as inputs.name, inputs.order.lines[0]")
        names = _PATH_PART.findall(source)[1:]
        parts.append(tuple(int(name[1:-1]) if name.startswith("[") else name for name in names))
    parts.append(content[position:])
    return tuple(part for part in parts if part != "")


def _render(content: str, inputs: Mapping[str, Any]) -> str:
    if "${{" not in content:
        return content
    try:
        parts = _parts(content)
    except BadTemplate as exc:
        raise StepFailed("user_error", f"a message can't be rendered: {exc}") from exc
    return "".join(part if isinstance(part, str) else _text(_value(part, inputs)) for part in parts)


def _value(path: tuple[str | int, ...], inputs: Mapping[str, Any]) -> Any:
    value: Any = inputs
    for depth, part in enumerate(path):
        try:
            if isinstance(value, str):
                raise TypeError("a text has characters, not items")
            value = value[part]
        except (KeyError, IndexError, TypeError) as exc:
            named = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path[: depth + 1])
            message = f"a message names `inputs{named}`, which the inputs do not hold"
            raise StepFailed("user_error", message) from exc
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _dry_run(config: LlmConfig, messages: list[dict[str, str]]) -> Outcome:
    text, usage = messages[-1]["content"], Usage(cost=0.0, model=config.model)
    output = {
        "text": f"{DRY_RUN_NOTE} {text[:_DRY_RUN_CHARACTERS]}",
        "model": config.model,
        "provider": "dry-run",
        "finish_reason": "dry_run",
        "usage": _usage_json(usage),
    }
    return Outcome(output=output, usage=usage)


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": usage.cost,
        "currency": usage.currency,
    }


def _ask(config: LlmConfig, messages: list[dict[str, str]], context: Context) -> llm.Answer:
    """Return the provider's answer. Raises StepFailed, Cancelled."""
    values = context.connections.get(config.connection)
    if values is None or values.type != "openai":
        what = "is not there" if values is None else f"is of type {values.type}, not openai"
        raise StepFailed("user_error", f"the connection {config.connection!r} {what}")
    call = llm.Call(
        connection=config.connection,
        base_url=str(values.config.get("base_url") or "https://api.openai.com/v1"),
        api_key=str(values.config.get("api_key") or ""),
        body=_body(config, messages),
        idempotency_key=context.idempotency_key,
    )
    try:
        return llm.chat(call, timeout=context.timeout, cancelled=context.cancelled, on_token=context.emit.token)
    except llm.Stopped as exc:
        raise Cancelled from exc
    except llm.CallFailed as exc:
        detail = {"status": exc.status} if exc.status is not None else None
        raise StepFailed(exc.failure, exc.message, retry_after=exc.retry_after, detail=detail) from exc


def _body(config: LlmConfig, messages: list[dict[str, str]]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": config.model, "messages": messages}
    for name in ("temperature", "top_p", "max_tokens", "stop", "seed"):
        value = getattr(config, name)
        if value is not None:
            body[name] = list(value) if isinstance(value, tuple) else value
    if config.response_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": config.response_schema},
        }
    return body


def _content(config: LlmConfig, answer: llm.Answer) -> dict[str, Any]:
    """Return the answer as `text`, or as `data` that keeps to the schema. Raises StepFailed."""
    if config.response_schema is None:
        return {"text": answer.text}
    try:
        data = load_json(answer.text.encode())
    except Rejected as exc:
        why = "was cut off at max_tokens" if answer.finish_reason == "length" else f"is {exc.detail}"
        detail = {"text": answer.text[:_DRY_RUN_CHARACTERS]}
        raise StepFailed("schema_error", f"the answer {why}, not the JSON asked for", detail=detail) from exc
    problems = problems_of_value(config.response_schema, data)
    if problems:
        first = problems[0]
        message = f"the answer breaks response_schema at {first.path or 'its root'}: {first.detail}"
        places = [{"path": p.path, "detail": p.detail} for p in problems]
        raise StepFailed("schema_error", message, detail={"problems": places})
    return {"data": data}


def _cost(config: LlmConfig, answer: llm.Answer) -> float | None:
    if config.input_price is None and config.output_price is None:
        return None
    micro = answer.input_tokens * (config.input_price or 0) + answer.output_tokens * (config.output_price or 0)
    return micro / 1_000_000


def _output_schema(config: LlmConfig) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "type": "object",
        "properties": {
            "input_tokens": {"type": "integer"},
            "output_tokens": {"type": "integer"},
            "cost": {"type": ["number", "null"]},
            "currency": {"type": "string"},
        },
    }
    known = {"model": {"type": "string"}, "provider": {"type": "string"}, "finish_reason": {"type": "string"}}
    # A schema with references of its own can't be nested without rewriting them.
    asked = config.response_schema if config.response_schema and "$" not in json.dumps(config.response_schema) else {}
    is_data = config.response_schema is not None and config.provider != "dry-run"
    content: dict[str, Any] = {"data": asked} if is_data else {"text": {"type": "string"}}
    return {
        "type": "object",
        "properties": {**content, **known, "usage": usage},
        "required": [*content, *known, "usage"],
    }
