"""The contract between the panel and a kind of definition.

A kind is one file: its Pydantic `Config` (whose JSON Schema is the form) and its behaviour. It is given values,
never rows: a frozen Context with everything one attempt needs. It returns an Outcome, or raises StepFailed for
what is the author's or the remote's fault; any other exception is a crash, ours to explain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mcp_site.core.errors import Problem

ErrorClass = Literal[
    "user_error",
    "schema_error",
    "rate_limit",
    "network",
    "provider_5xx",
    "timeout",
    "oom",
    "killed",
    "connection_failed",
    "unavailable",
]


class StepFailed(Exception):
    """An expected failure. `error_class` decides whether a retry makes sense; `retry_after` is in seconds.

    `message` is shown to people and stored: it says what happened and, if known, what to do.
    `detail` is JSON for the curious: a traceback of the user's own code, an exit code, a status.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        retry_after: float | None = None,
        detail: Mapping[str, Any] | None = None,
        artifacts: tuple[Artifact, ...] = (),
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.retry_after = retry_after
        self.detail = dict(detail or {})
        # What was made before the failure and is worth keeping, such as a half-executed notebook.
        self.artifacts = artifacts


class Cancelled(Exception):
    """The attempt was told to stop and did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that an attempt leaves behind. `path` lies in the attempt's folder; the engine takes the bytes."""

    name: str
    path: Path
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt used: tokens and money of a provider, memory and CPU of a child process."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    currency: str = "USD"
    model: str = ""
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    exit_code: int | None = None
    isolation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt came to: its output (JSON), the files it leaves, what it used."""

    output: Any = None
    artifacts: tuple[Artifact, ...] = ()
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionValues:
    """A connection opened for one attempt: its type and its config with the secrets in clear. Never stored."""

    slug: str
    type: str
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """The ways in which a running attempt is heard. Each may be called from any thread and never raises."""

    # `log`: a stream and text; the stream is "stdout", "stderr" or "system"; text is one or more whole lines.
    log: Callable[[str, str], None]
    # `progress`: a fraction from 0 to 1 (or None) and a text.
    progress: Callable[[float | None, str], None]
    # `metric`: a name and a value.
    metric: Callable[[str, float], None]
    # `token`: a piece of an answer that is being written.
    token: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything one attempt may know."""

    config: Any  # an instance of the kind's Config
    inputs: Mapping[str, Any]
    # By slug: what `Kind.connections(config)` named, plus `step_connection` if the graph names one.
    connections: Mapping[str, ConnectionValues] = field(default_factory=dict, repr=False)
    step_connection: str | None = None
    # By environment name: what `Kind.secrets(config)` asked for.
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    # A private empty folder, made when first asked for, removed after the attempt.
    folder: Callable[[], Path]
    # Seconds that this attempt may take, or None.
    timeout: float | None = None
    emit: Emit
    cancelled: Callable[[], bool] = lambda: False
    # The same for every attempt of a step: remote systems can refuse to do the thing twice.
    idempotency_key: str = ""
    attempt: int = 1
    sandbox: str = "auto"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Names one sealed field of a connection, to be handed over as the environment variable `env`."""

    env: str
    connection: str
    field: str


@dataclass(frozen=True, slots=True)
class Inferred:
    """JSON Schemas that a kind could read off its config; None where it can't tell."""

    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None


class Config(BaseModel):
    """Base of every kind's config: unknown fields are refused, instances never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Kind(ABC):
    """One kind of definition. Instances are shared by threads and hold no state of an attempt."""

    #: What users write: `script`.
    name: ClassVar[str]
    #: What they read: "Script".
    label: ClassVar[str]
    description: ClassVar[str]
    #: The Celery queue of its steps unless the graph says otherwise.
    queue: ClassVar[str]
    #: The config's type; its JSON Schema is the form.
    Config: ClassVar[type[Config]]
    #: Whether an attempt normally ends within milliseconds, so that a worker may claim many at once.
    short: ClassVar[bool] = False
    #: What happens to a step whose worker was lost, unless the graph says: retry or fail.
    on_lost: ClassVar[Literal["retry", "fail"]] = "fail"
    #: Seconds that an attempt may take unless the graph says otherwise.
    default_timeout: ClassVar[float] = 3600.0
    #: Hints for the form: {"field": {"widget": "code", "language": "python", "rows": 12, …}}.
    ui: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def run(self, context: Context) -> Outcome:
        """Do the work once. Raises StepFailed (expected), Cancelled (told to stop)."""

    def problems(self, config: Any) -> list[Problem]:
        """Return what is wrong with a well-typed config (paths from the config's root), without running it."""
        return []

    def infer(self, config: Any) -> Inferred:
        """Return the schemas that can be read off the config. Parses only; never executes."""
        return Inferred()

    def connections(self, config: Any) -> list[str]:
        """Return the slugs of the connections that an attempt needs opened."""
        return []

    def secrets(self, config: Any) -> list[SecretRef]:
        """Return the sealed fields that an attempt needs."""
        return []

    def is_short(self, config: Any) -> bool:
        """Tell whether this config's attempts end within milliseconds (a dry run does, a model call doesn't)."""
        return self.short

    def is_idempotent(self, config: Any) -> bool:
        """Tell whether doing it twice does no harm, so that a lost worker's step is simply tried again."""
        return self.on_lost == "retry"

    def summary(self, config: Any) -> str:
        """Return one line for lists: the model, the language, the first line of the query."""
        return ""
