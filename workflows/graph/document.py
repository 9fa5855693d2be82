"""The graph document as Pydantic models: the shape of what users write in JSON or YAML."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from mcp_site.core.errors import Problem, problem_of

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KEY = r"^[a-z][a-z0-9_]{0,62}$"
MAX_STEPS = 1000


def seconds(text: Any) -> float:
    """Return the seconds of a duration such as `500ms 10s 5m 2h 1d` (one number, one unit). Raises ValueError."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("write a duration as 500ms, 10s, 5m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["10s"]}),
]
Key = Annotated[str, Field(pattern=KEY)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Retry(_Strict):
    """When an attempt fails in a way that may pass: how often and after how long to try again."""

    max_attempts: int = Field(3, ge=1, le=20)
    delay: Duration = 2.0
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    max_delay: Duration = 60.0
    jitter: bool = True
    # Error classes that are tried again; without it those that pass by themselves.
    on: list[str] | None = None


class Timeout(_Strict):
    """How long one attempt may take."""

    attempt: Duration | None = None


class Step(_Strict):
    """One node of the graph: a definition with its inputs and the rules of when and how it runs."""

    key: Key
    definition: str
    name: str = Field("", max_length=200)
    # An object, or one expression that gives an object (`${{ inputs }}` passes the run's own on).
    inputs: dict[str, Any] | str = Field(default_factory=dict)
    connection: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    needs: list[str] = Field(default_factory=list, max_length=MAX_STEPS)
    join: Literal["all_succeeded", "all_done", "any_succeeded", "any_failed", "none_failed"] = "all_succeeded"
    when: str | bool | None = None
    for_each: str | list[Any] | None = None
    max_parallel: int | None = Field(None, ge=1, le=10_000)
    retry: Retry | None = None
    timeout: Timeout = Timeout()
    queue: str | None = Field(None, pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    on_lost: Literal["retry", "fail"] | None = None

    @model_validator(mode="after")
    def _parallel_needs_a_map(self) -> Step:
        if self.max_parallel is not None and self.for_each is None:
            raise ValueError("max_parallel goes with for_each")
        return self


class Graph(_Strict):
    """A workflow: what goes in, the steps, what comes out."""

    inputs: dict[str, Any] | None = None
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)
    output: Any = None


# Names of the graph document that this version of the panel does not carry out yet: refused by name, never ignored.
_LATER_STEP = {"workflow", "approval", "fail_fast", "allow_failed"}
_LATER_ROOT = {"on_failure", "timeout", "concurrency"}

_MESSAGES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "too_short": "must have at least one entry",
    "too_long": "has too many entries",
}

_UNION_BRANCHES = frozenset({"str", "bool", "list[any]", "dict[str,any]"})


def _problem(error: Any) -> Problem:
    """Say what is wrong without repeating the value that was given."""
    kind, place = error["type"], [str(part) for part in error["loc"]]
    # Pydantic names the branch of a union in the path; users did not write it.
    place = [part for part in place if part not in _UNION_BRANCHES]
    name = place[-1] if place else ""
    later = _LATER_STEP if place[:1] == ["steps"] else _LATER_ROOT
    if kind == "extra_forbidden" and (name in later or place[-2:] in (["timeout", "total"], ["timeout", "queue"])):
        return Problem(".".join(place), "not_supported", f"`{name}` is not carried out by this version of the panel")
    plain = problem_of({**error, "loc": place})
    detail = _MESSAGES.get(kind) or plain.detail
    if kind == "string_pattern_mismatch":
        letters = "use small letters, digits and underscores, starting with a letter"
        detail = letters if name == "key" else "is not well formed"
    return replace(plain, detail=detail)


def parse(document: Any) -> tuple[Graph | None, list[Problem]]:
    """Read a document into a Graph, or say everything that is wrong with its shape."""
    if not isinstance(document, dict):
        return None, [Problem("", "invalid", "a graph is an object with `steps`")]
    try:
        return Graph.model_validate(document), []
    except ValidationError as exc:
        errors = exc.errors(include_input=False, include_url=False, include_context=False)
        return None, list(dict.fromkeys(_problem(error) for error in errors))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the graph document."""
    return Graph.model_json_schema()
