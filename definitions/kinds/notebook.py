"""The kind `notebook`: a Jupyter notebook, executed top to bottom in a kernel of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from definitions import kernels
from definitions.kernels import cells
from definitions.kinds import base
from definitions.kinds.base import Artifact, Cancelled, Context, Inferred, Outcome, SecretRef, StepFailed, Usage
from mcp_site.core.errors import Problem
from mcp_site.core.masking import Masker

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# These keep the kernel inside its folder and bound to the worker; a definition may not set them.
_RESERVED = re.compile(r"HOME|TMPDIR|IPYTHONDIR|MPLCONFIGDIR|JUPYTER_.*|JPY_.*|LD_.*|PYTHON(PATH|HOME|STARTUP)")


class Secret(BaseModel):
    """One sealed field of a connection, handed over as an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str = Field(min_length=1, max_length=128)
    connection: str = Field(min_length=1, max_length=200)
    field: str = Field(min_length=1, max_length=128)


class NotebookConfig(base.Config):
    """Which notebook, in which kernel, with which environment."""

    notebook: dict[str, Any] = Field(description="A notebook in Jupyter's format 4.")
    kernel: str = Field(default="python3", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    timeout_per_cell: float | None = Field(default=None, gt=0, le=7 * 86_400, description="Seconds.")
    allow_errors: bool = Field(default=False, description="Go on after a cell that fails.")
    idempotent: bool = Field(default=False, description="Doing it twice does no harm.")
    env: dict[str, str] = Field(default_factory=dict, max_length=100)
    secrets: tuple[Secret, ...] = Field(default=(), max_length=100)


class Notebook(base.Kind):
    """A Jupyter notebook."""

    name: ClassVar[str] = "notebook"
    label: ClassVar[str] = "Notebook"
    description: ClassVar[str] = "A Jupyter notebook, executed top to bottom; the executed notebook is kept."
    queue: ClassVar[str] = "notebook"
    Config: ClassVar[type[base.Config]] = NotebookConfig
    on_lost: ClassVar[Literal["retry", "fail"]] = "fail"
    ui: ClassVar[Mapping[str, Any]] = {
        "notebook": {"widget": "notebook", "accept": ".ipynb"},
        "env": {"widget": "pairs"},
        "secrets": {"widget": "secrets"},
    }

    def run(self, context: Context) -> Outcome:
        """Execute the notebook with the inputs as parameters. Raises StepFailed, Cancelled."""
        # nbclient and ZeroMQ take half a second to import; only workers that run notebooks pay it.
        from definitions.kernels import session

        config: NotebookConfig = context.config
        bad = cells.bad_names(context.inputs)
        if bad:
            raise StepFailed("user_error", f"the input {bad[0]!r} can't be the name of a variable")
        work, kept, private = (context.folder() / name for name in ("work", "kept", "kernel"))
        for folder in (work, kept, private):
            folder.mkdir(mode=0o700)
        masker = Masker(context.secrets.values())
        try:
            job = kernels.Job(
                notebook=cells.inject(session.prepared(config.notebook), context.inputs),
                kernel=config.kernel,
                cwd=work,
                private=private,
                environment=_environment(config, context, work, private),
                timeout=context.timeout,
                timeout_per_cell=config.timeout_per_cell,
                allow_errors=config.allow_errors,
                cancelled=context.cancelled,
                on_log=context.emit.log,
                on_progress=context.emit.progress,
            )
        except kernels.NotebookFailed as exc:
            raise StepFailed(exc.failure, exc.message) from exc
        ended = session.execute(job)
        # The bytes of an artifact are nobody else's to mask.
        notebook = masker.data(ended.notebook)
        artifacts = _artifacts(kept, session.written(notebook), notebook)
        _raise(ended.error, artifacts, masker)
        output = ended.values[-1] if ended.values else cells.tagged_output(ended.notebook)
        usage = Usage(
            peak_memory_bytes=ended.peak_memory_bytes,
            cpu_seconds=ended.cpu_seconds,
            isolation="process (network open)",
        )
        return Outcome(output=output, artifacts=artifacts, usage=usage)

    def problems(self, config: Any) -> list[Problem]:
        """Return where the notebook breaks its format, which cells are not Python, and names that can't be set."""
        return [*_format_problems(config), *_name_problems(config)]

    def infer(self, config: Any) -> Inferred:
        """Return the parameters with their types and defaults, from the cell tagged `parameters`."""
        return Inferred(input_schema=cells.parameters_schema(config.notebook))

    def secrets(self, config: Any) -> list[SecretRef]:
        """Return the sealed fields that the config asks for."""
        return [SecretRef(item.env, item.connection, item.field) for item in config.secrets]

    def is_idempotent(self, config: Any) -> bool:
        """Tell what the author says."""
        return bool(config.idempotent)

    def summary(self, config: Any) -> str:
        """Return the number of cells and the kernel."""
        count = len(list(cells.code_cells(config.notebook)))
        return f"{count} code {'cell' if count == 1 else 'cells'}, {config.kernel}"


def _format_problems(config: NotebookConfig) -> list[Problem]:
    # nbformat brings a validator of its own; listing kinds should not wait for it.
    import nbformat

    if config.notebook.get("nbformat") != 4:
        return [Problem("notebook.nbformat", "invalid", "must be 4; open and save the notebook in Jupyter")]
    if not isinstance(config.notebook.get("nbformat_minor"), int):
        return [Problem("notebook.nbformat_minor", "required", "a whole number")]
    found = []
    for error in nbformat.validator.iter_validate(cells.with_ids(config.notebook)):
        where = getattr(error, "relative_path", ()) or ()
        found.append(Problem(".".join(["notebook", *map(str, where)]), "invalid", str(error.message)[:300]))
    if found or config.kernel != "python3":
        return found[:20]
    return cells.syntax_problems(config.notebook)[:20]


def _name_problems(config: NotebookConfig) -> list[Problem]:
    names = [(f"env.{name}", name) for name in config.env]
    names += [(f"secrets.{index}.env", item.env) for index, item in enumerate(config.secrets)]
    found = []
    for path, name in names:
        if not _ENV_NAME.fullmatch(name):
            found.append(Problem(path, "invalid", "letters, digits and underscores, not beginning with a digit"))
        elif _RESERVED.fullmatch(name):
            found.append(Problem(path, "reserved", "the panel sets this variable itself"))
    return found


def _environment(config: NotebookConfig, context: Context, work: Path, private: Path) -> dict[str, str]:
    """Return all that the kernel finds in its environment; nothing of the worker's but the search path."""
    temporary = work / "tmp"
    temporary.mkdir(mode=0o700)
    own = {f"{name}": str(private / name.lower()) for name in ("IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR")}
    own |= {name: str(private / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    given = {**config.env, **context.secrets}
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "LANG": "C.UTF-8",
        **{name: value for name, value in given.items() if not _RESERVED.fullmatch(name)},
        "HOME": str(work),
        "TMPDIR": str(temporary),
        **own,
    }


def _artifacts(kept: Path, text: str, notebook: Mapping[str, Any]) -> tuple[Artifact, ...]:
    path = kept / "notebook.ipynb"
    path.write_text(text, encoding="utf-8")
    made = [Artifact(name=path.name, path=path, media_type="application/x-ipynb+json")]
    for name, image in cells.figures(notebook):
        (kept / name).write_bytes(image)
        made.append(Artifact(name=name, path=kept / name, media_type="image/png"))
    return tuple(made)


def _raise(
    error: kernels.Stopped | kernels.NotebookFailed | None, artifacts: tuple[Artifact, ...], masker: Masker
) -> None:
    if isinstance(error, kernels.Stopped):
        raise Cancelled
    if error is not None:
        detail = masker.data(error.detail)
        raise StepFailed(error.failure, masker.text(error.message), detail=detail, artifacts=artifacts)
