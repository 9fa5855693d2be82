"""Scripts: a Python function of the user's, called in a child process with the run's inputs."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from definitions.kinds.base import (
    Artifact,
    Cancelled,
    Config,
    Context,
    Inferred,
    Kind,
    Outcome,
    SecretRef,
    StepFailed,
    Usage,
)
from definitions.sandbox import signature
from definitions.sandbox.files import MOST_FILES, TooLarge, collect, read_regular
from definitions.sandbox.launch import CHILD, Exit, Job, Limits, launch
from definitions.sandbox.levels import SAFE_PATH, Level, SandboxUnavailable, choose
from definitions.sandbox.streams import Listener
from mcp_site.core.errors import Problem

MIB = 1024 * 1024
ERROR_BYTES = 256 * 1024
# What a failure tells of its usage.
USED = ("cpu_seconds", "peak_memory_bytes", "exit_code", "isolation")
RESERVED = re.compile(r"PATH|HOME|TMPDIR|LANG|(LD_|PYTHON|MCP_).*")


def _not_reserved(name: str) -> str:
    if RESERVED.fullmatch(name):
        raise ValueError(f"{name} is set by the panel and cannot be chosen.")
    return name


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("A value of the environment cannot hold a NUL character.")
    return text


EnvName = Annotated[
    str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=100), AfterValidator(_not_reserved)
]
EnvValue = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_no_nul)]


class ScriptLimits(Config):
    """What one attempt may use."""

    memory_bytes: int = Field(2048 * MIB, ge=64 * MIB, le=1024 * 1024 * MIB, title="Memory (bytes)")
    cpu_seconds: int = Field(3600, ge=1, le=7 * 86_400, title="CPU time (s)")
    wall_seconds: float = Field(3600, gt=0, le=7 * 86_400, title="Wall time (s)")
    processes: int = Field(64, ge=1, le=4096, title="Processes")
    output_bytes: int = Field(16 * MIB, ge=2, le=64 * MIB, title="Output (bytes)")


class ScriptSecret(Config):
    """A sealed field of a connection, handed over as an environment variable."""

    env: EnvName
    connection: str = Field(min_length=1, max_length=100)
    field: str = Field(min_length=1, max_length=100)


class ScriptConfig(Config):
    """A script: its code and what it may use."""

    language: Literal["python"] = "python"
    code: str = Field(min_length=1, max_length=1_000_000)
    entrypoint: str = Field("main", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)
    network: bool = Field(False, description="Whether the script may reach the network.")
    idempotent: bool = Field(
        False, description="Whether running it twice does no harm; a lost attempt is then retried."
    )
    limits: ScriptLimits = ScriptLimits()
    env: dict[EnvName, EnvValue] = Field(default_factory=dict, max_length=100)
    secrets: tuple[ScriptSecret, ...] = Field((), max_length=50)


class Script(Kind):
    """Calls a function of a user's Python file in a child process."""

    name = "script"
    label = "Script"
    description = "A Python function, run in a process of its own with limits and a clean environment."
    queue = "script"
    Config = ScriptConfig
    on_lost = "fail"
    ui: ClassVar[Mapping[str, Any]] = {
        "code": {"widget": "code", "language": "python", "rows": 20},
        "env": {"widget": "pairs"},
        "limits": {"group": "Limits"},
        "secrets": {"group": "Secrets"},
    }

    def problems(self, config: ScriptConfig) -> list[Problem]:
        """Return syntax errors, a missing entrypoint, names of the environment given twice."""
        return [*signature.problems(config.code, config.entrypoint), *_secret_problems(config)]

    def infer(self, config: ScriptConfig) -> Inferred:
        """Return the schema of the inputs, read off the entrypoint's signature."""
        try:
            function = signature.entrypoint(config.code, config.entrypoint)
            return Inferred(input_schema=signature.input_schema(function)) if function else Inferred()
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Inferred()

    def secrets(self, config: ScriptConfig) -> list[SecretRef]:
        """Return the sealed fields that the script gets by name."""
        return [SecretRef(secret.env, secret.connection, secret.field) for secret in config.secrets]

    def is_idempotent(self, config: ScriptConfig) -> bool:
        """Tell what the author says about running it twice."""
        return config.idempotent

    def summary(self, config: ScriptConfig) -> str:
        """Return the language, the entrypoint and the size."""
        lines = len(config.code.splitlines())
        reach = ", network" if config.network else ""
        return f"Python, {config.entrypoint}(), {lines} line{'' if lines == 1 else 's'}{reach}"

    def run(self, context: Context) -> Outcome:
        """Run the script once. Raises StepFailed, Cancelled."""
        config: ScriptConfig = context.config
        folder = context.folder().resolve()
        try:
            level = choose(context.sandbox, network=config.network, folder=folder, readable=(CHILD,))
        except SandboxUnavailable as error:
            raise StepFailed("unavailable", str(error)) from error
        return _Attempt(context, config, folder, level).run()


def _secret_problems(config: ScriptConfig) -> list[Problem]:
    seen = set(config.env)
    found: list[Problem] = []
    for index, secret in enumerate(config.secrets):
        if secret.env in seen:
            found.append(Problem(f"secrets.{index}.env", "duplicate", f"{secret.env} is given twice."))
        seen.add(secret.env)
    return found


class _Attempt:
    """One run of a script: its folder, its process, and what its end means."""

    def __init__(self, context: Context, config: ScriptConfig, folder: Path, level: Level) -> None:
        self.context = context
        self.config = config
        self.folder = folder
        self.level = level
        self.artifacts_folder = folder / "artifacts"
        self.seconds = min(config.limits.wall_seconds, context.timeout or config.limits.wall_seconds)

    def run(self) -> Outcome:
        emit = self.context.emit
        job = self._job()
        if self.context.cancelled():
            raise Cancelled
        ended = launch(job, Listener(emit.log, emit.progress, emit.metric), self.context.cancelled)
        if ended.stopped == "cancelled":
            raise Cancelled
        artifacts = self._artifacts()
        usage = Usage(
            cpu_seconds=ended.cpu_seconds,
            peak_memory_bytes=ended.peak_memory_bytes,
            exit_code=ended.code,
            isolation=self.level.name,
        )
        failure = self._signal(ended) or self._failure(ended)
        if failure is None:
            try:
                return Outcome(output=self._output(), artifacts=artifacts, usage=usage)
            except StepFailed as error:
                failure = error
        failure.artifacts = artifacts
        failure.detail |= {name: value for name, value in asdict(usage).items() if name in USED and value is not None}
        raise failure

    def _job(self) -> Job:
        self.artifacts_folder.mkdir()
        temporary = self.folder / "tmp"
        temporary.mkdir()
        inputs = self.folder / "inputs.json"
        inputs.write_text(json.dumps(dict(self.context.inputs)), encoding="utf-8")
        code = self.folder / "script.py"
        code.write_text(self.config.code, encoding="utf-8", newline="")
        env = {
            **self.config.env,
            **self.context.secrets,
            "PATH": SAFE_PATH,
            "HOME": str(self.folder),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "MCP_INPUTS": str(inputs),
            "MCP_OUTPUT": str(self.folder / "output.json"),
            "MCP_ARTIFACTS": str(self.artifacts_folder),
            "MCP_IDEMPOTENCY_KEY": self.context.idempotency_key,
        }
        return Job(
            folder=self.folder,
            code=code,
            entrypoint=self.config.entrypoint,
            error=self.folder / "error.json",
            env=env,
            limits=Limits(**self.config.limits.model_dump(exclude={"wall_seconds"}), wall_seconds=self.seconds),
            level=self.level,
        )

    def _artifacts(self) -> tuple[Artifact, ...]:
        found, left_out = collect(self.artifacts_folder)
        if left_out:
            text = (
                f"{left_out} entries in MCP_ARTIFACTS were left out: only regular files count, {MOST_FILES} at most.\n"
            )
            self.context.emit.log("system", text)
        return tuple(Artifact(name=name, path=path, media_type=media_type) for name, path, media_type in found)

    def _signal(self, ended: Exit) -> StepFailed | None:
        """Return what it means that the process was ended from outside, or None if it wasn't."""
        limits = self.config.limits
        if ended.stopped == "timeout":
            return StepFailed("timeout", f"The script took longer than {self.seconds:g} s and was stopped.")
        if ended.crowded:
            return StepFailed("killed", f"The script started more than {limits.processes} processes and was stopped.")
        if ended.lost:
            return StepFailed("killed", "The script's process was lost before it could say how it ended; see the log.")
        if ended.code >= 0:
            return None
        if ended.code == -signal.SIGXCPU or (ended.cpu_seconds or 0) >= limits.cpu_seconds:
            return StepFailed("timeout", f"The script used more than {limits.cpu_seconds} s of CPU time.")
        if ended.code == -signal.SIGKILL:
            return StepFailed(
                "oom", "The script was killed by the system, most likely because the host had no memory left."
            )
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        return StepFailed("killed", f"The script was ended by {name}.")

    def _failure(self, ended: Exit) -> StepFailed | None:
        """Return what the child told about its failure, or None if it did not fail."""
        if ended.code == 0:
            return None
        told = self._told()
        name, message = str(told.get("type", "")), str(told.get("message", ""))
        detail = {key: told[key] for key in ("type", "traceback", "line") if told.get(key)}
        match told.get("class"):
            case "oom":
                text = (
                    f"MemoryError: the script needed more than its limit of {self.config.limits.memory_bytes:,} bytes."
                )
                return StepFailed("oom", text, detail=detail)
            case "schema_error":
                text = f"{self.config.entrypoint}() returned something that is not JSON: {message}"
                return StepFailed("schema_error", text, detail=detail)
            case "user_error" if name == "OutputTooLarge":
                most = self.config.limits.output_bytes
                text = f"The output has {message} bytes, more than the limit of {most:,}; large data belongs in a file."
                return StepFailed("user_error", text)
            case "user_error":
                return StepFailed("user_error", f"{name}: {message}" if message else name, detail=detail)
            case _:
                return StepFailed("user_error", f"The script ended with exit code {ended.code}.")

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(read_regular(self.folder / "error.json", ERROR_BYTES) or b"{}")
        except (TooLarge, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}

    def _output(self) -> Any:
        most = self.config.limits.output_bytes
        try:
            data = read_regular(self.folder / "output.json", most)
        except TooLarge:
            raise StepFailed("user_error", f"The output is larger than the limit of {most:,} bytes.") from None
        if data is None:
            raise StepFailed("user_error", f"The script ended before {self.config.entrypoint}() returned.")
        try:
            return json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise StepFailed("schema_error", f"The output is not JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
