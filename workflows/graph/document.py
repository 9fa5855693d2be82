"""The graph document as Pydantic models: the shape of what users write in JSON or YAML."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from mcp_site.core.errors import Problem, problem_of

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")
SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
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
    """A step's clocks: one attempt, all of it from when it is first ready, and being ready without being taken."""

    attempt: Duration | None = None
    total: Duration | None = None
    queue: Duration | None = None


def _allowance(value: Any) -> str:
    """Return `3` or `"10%"` as text. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000:
        return str(value)
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)) and float(match[1]) <= 100:
        return value
    raise ValueError("write a whole number of items, or a share of them such as 10%")


Allowance = Annotated[
    str,
    BeforeValidator(_allowance),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3})?%$"}]}
    ),
]


def allowed_of(allowance: str | None, total: int) -> int:
    """Return how many of `total` items may end badly; a share is rounded down."""
    if allowance is None:
        return 0
    share = allowance.removesuffix("%")
    return int(share) if share == allowance else int(float(share) * total / 100)


class Approval(_Strict):
    """A step that waits for people: who may decide, how many must agree, and what they are asked for."""

    message: str = Field("", max_length=4000)
    # Who may decide: people of these roles who see the run, and these people (by e-mail), whatever they see.
    # With neither, whoever may run the workflow.
    roles: list[Literal["Viewer", "Editor", "Admin"]] = Field(default_factory=list, max_length=3)
    users: list[str] = Field(default_factory=list, max_length=50)
    required: int = Field(1, ge=1, le=20)
    # Whether who started the run may decide too.
    allow_self: bool = False
    # A JSON Schema of an object that who approves fills in.
    form: dict[str, Any] | None = None
    timeout: Duration | None = None
    on_timeout: Literal["reject", "approve", "fail"] = "reject"
    remind: Duration | None = None


class Concurrency(_Strict):
    """How many runs of the workflow may go on at once for one value of `key`, and what becomes of one too many."""

    limit: int = Field(1, ge=1, le=1000)
    # Text with expressions over the run's inputs; without it all runs count for one limit.
    key: str = Field("", max_length=1000)
    policy: Literal["queue", "reject", "cancel_running"] = "queue"


class Handler(_Strict):
    """What runs when everything else has ended and the run is going to fail."""

    definition: str
    inputs: dict[str, Any] | str = Field(default_factory=dict)
    connection: str | None = Field(None, pattern=SLUG)
    retry: Retry | None = None
    timeout: Timeout = Timeout()
    queue: str | None = Field(None, pattern=r"^[a-z][a-z0-9_-]{0,62}$")


class Step(_Strict):
    """One node of the graph: what it does, with its inputs, and the rules of when and how it runs."""

    key: Key
    definition: str | None = None
    # A run of this workflow, as a child.
    workflow: str | None = None
    approval: Approval | None = None
    name: str = Field("", max_length=200)
    # An object, or one expression that gives an object (`${{ inputs }}` passes the run's own on).
    inputs: dict[str, Any] | str = Field(default_factory=dict)
    connection: str | None = Field(None, pattern=SLUG)
    needs: list[str] = Field(default_factory=list, max_length=MAX_STEPS)
    join: Literal["all_succeeded", "all_done", "any_succeeded", "any_failed", "none_failed"] = "all_succeeded"
    when: str | bool | None = None
    for_each: str | list[Any] | None = None
    max_parallel: int | None = Field(None, ge=1, le=10_000)
    # Whether a failed item (one more than may) ends the others at once, and how many may fail.
    fail_fast: bool | None = None
    allow_failed: Allowance | None = None
    retry: Retry | None = None
    timeout: Timeout = Timeout()
    queue: str | None = Field(None, pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    on_lost: Literal["retry", "fail"] | None = None

    @property
    def reference(self) -> str:
        """Return what the step carries out, in a word: a reference, or `approval`."""
        return self.definition or self.workflow or "approval"

    @model_validator(mode="after")
    def _some_need_a_map(self) -> Step:
        for name in ("max_parallel", "fail_fast", "allow_failed"):
            if getattr(self, name) is not None and self.for_each is None:
                raise ValueError(f"{name} goes with for_each")
        return self


class Graph(_Strict):
    """A workflow: what goes in, the steps, what comes out."""

    inputs: dict[str, Any] | None = None
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)
    output: Any = None
    on_failure: Handler | None = None
    # The run's own clock, from its creation to its end.
    timeout: Duration | None = None
    concurrency: Concurrency | None = None


# What a step may do: exactly one of these.
WORK = frozenset({"definition", "workflow", "approval"})
NOTHING_TO_DO = "a step has a definition, a workflow or an approval"
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
    plain = problem_of({**error, "loc": place})
    detail = _MESSAGES.get(kind) or plain.detail
    if kind == "string_pattern_mismatch":
        letters = "use small letters, digits and underscores, starting with a letter"
        detail = letters if name == "key" else "is not well formed"
    return replace(plain, detail=detail)


def _without_work(document: dict[str, Any]) -> list[Problem]:
    """Name the steps that do nothing, where the shape of something else kept them from being looked at."""
    steps = document.get("steps")
    return [
        Problem(f"steps.{place}.definition", "required", NOTHING_TO_DO)
        for place, step in enumerate(steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and not step.keys() & WORK
    ]


def parse(document: Any) -> tuple[Graph | None, list[Problem]]:
    """Read a document into a Graph, or say everything that is wrong with its shape."""
    if not isinstance(document, dict):
        return None, [Problem("", "invalid", "a graph is an object with `steps`")]
    try:
        return Graph.model_validate(document), []
    except ValidationError as exc:
        errors = exc.errors(include_input=False, include_url=False, include_context=False)
        return None, list(dict.fromkeys([*map(_problem, errors), *_without_work(document)]))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the graph document."""
    return Graph.model_json_schema()
