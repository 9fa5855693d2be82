"""One attempt: from a step that was taken to how it ended. The one place where anything may go wrong."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from connections import credentials
from definitions.kinds import (
    Artifact,
    Cancelled,
    ConnectionValues,
    Context,
    Emit,
    Outcome,
    StepFailed,
)
from mcp_site.core.errors import AppError
from mcp_site.core.masking import Masker
from mcp_site.core.schemas import problems_of_value
from workflows import artifacts
from workflows.engine import approvals, children, transitions
from workflows.engine.holds import Hold
from workflows.engine.inputs import Scope, UncleanValue, encode, scope_for
from workflows.engine.plans import Prepared, RunInfo, load
from workflows.engine.retry import delay_before_retry
from workflows.engine.transitions import End
from workflows.expressions import EvaluationFailed
from workflows.graph import PlannedStep, allowed_of

logger = logging.getLogger(__name__)
MAX_ITEMS = 10_000
# Items of a mapped step that may be on their way at once, unless the graph says otherwise.
DEFAULT_PARALLEL = 10_000
MAX_MESSAGE = 2000


def carry_out(hold: Hold, worker: str) -> End | None:
    """Do the attempt that `hold` stands for. Returns its end, or None when the step was expanded into items."""
    taken = hold.taken
    step: PlannedStep | None = None
    try:
        info = load(taken.run)
        step = info.by_key[taken.key]
        return _attempt(info, step, hold, worker)
    except StepFailed as failure:
        return _failed(step, hold, failure)
    except Cancelled:
        return _stopped(hold)
    except EvaluationFailed as exc:
        return _failed(step, hold, StepFailed("user_error", str(exc)))
    except UncleanValue as exc:
        return _failed(step, hold, StepFailed("schema_error", f"The output can't be stored: {exc}."))
    except AppError as exc:
        return _failed(step, hold, StepFailed("unavailable", exc.detail))
    except Exception as exc:
        logger.exception("run %s step %s attempt %s crashed", taken.run, taken.key, taken.attempt)
        error = {
            "class": "crash",
            "message": f"The panel itself failed: {type(exc).__name__}. The worker's log has more.",
        }
        return End(taken.run, taken.n, taken.attempt, "crashed", error=error)


def _attempt(info: RunInfo, step: PlannedStep, hold: Hold, worker: str) -> End | None:
    taken = hold.taken
    scope = scope_for(info, taken, step.inputs, step.when, step.for_each, step.message)
    if step.when is not None and taken.index is None and not _is_true(step.when.evaluate(scope)):
        return End(taken.run, taken.n, taken.attempt, "skipped", reason="condition_false")
    if step.for_each is not None and taken.index is None:
        return _expand(step, scope, hold, worker)
    if step.approval is not None:
        return _ask(step, scope, hold, worker)
    given = step.inputs.evaluate(scope)
    if step.workflow is not None:
        return _call(info, step, given, hold, worker)
    if step.definition is None:
        text, ref = encode(given)
        return End(taken.run, taken.n, taken.attempt, "succeeded", output=text, ref=ref)
    given = _object(given)
    definition = info.definition(step)
    _hold_to_schema(definition.input_schema, given, "inputs")
    return _run(info, step, definition, given, hold)


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise StepFailed("user_error", "The step's `inputs` must give an object.")
    return given


def _call(info: RunInfo, step: PlannedStep, given: Any, hold: Hold, worker: str) -> End | None:
    if children.call(hold.taken, worker, info.children[step.key], _object(given)):
        return None
    return _stopped(hold)


def _is_true(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise StepFailed("user_error", f"`when` must give true or false, not {type(value).__name__}.")


def _expand(step: PlannedStep, scope: Scope, hold: Hold, worker: str) -> End | None:
    taken = hold.taken
    assert step.for_each is not None  # noqa: S101  the caller looked
    items = step.for_each.evaluate(scope)
    if not isinstance(items, list):
        raise StepFailed("user_error", f"`for_each` must give a list, not {type(items).__name__}.")
    if len(items) > MAX_ITEMS:
        raise StepFailed("user_error", f"`for_each` gave {len(items)} items; {MAX_ITEMS} is the most.")
    if not items:
        return End(taken.run, taken.n, taken.attempt, "succeeded", output="[]")
    raw = _item_texts(items)
    allowed = allowed_of(step.allow_failed, len(items))
    if transitions.expand(taken, worker, raw, step.max_parallel or DEFAULT_PARALLEL, allowed):
        return None
    return _stopped(hold)


def _ask(step: PlannedStep, scope: Scope, hold: Hold, worker: str) -> End | None:
    assert step.approval is not None  # noqa: S101  the caller looked
    assert step.message is not None  # noqa: S101
    message = step.message.evaluate(scope)
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    if approvals.ask(hold.taken, worker, step.approval, text[:MAX_MESSAGE]):
        return None
    return _stopped(hold)


def _item_texts(items: list[Any]) -> str:
    """Return the items as JSON text for their rows, each within what a row may hold. Raises StepFailed."""
    texts = []
    for index, item in enumerate(items):
        text, ref = encode(item)
        if text is None or ref is not None:
            raise StepFailed(
                "user_error", f"Item {index} of `for_each` is larger than 64 KiB; give a reference instead."
            )
        texts.append(text)
    return f"[{','.join(texts)}]"


def _hold_to_schema(schema: dict[str, Any] | None, value: Any, what: str) -> None:
    if schema is None:
        return
    problems = problems_of_value(schema, value, limit=5)
    if problems:
        said = "; ".join(f"{what}{'.' + p.path if p.path else ''} {p.detail}" for p in problems)
        places = [{"path": f"{what}.{p.path}".rstrip("."), "detail": p.detail} for p in problems]
        raise StepFailed("schema_error", f"The {what} don't fit the schema: {said}.", detail={"problems": places})


class _Folder:
    """A private folder for an attempt, made when first asked for and removed in any case."""

    def __init__(self) -> None:
        self.path: Path | None = None

    def __call__(self) -> Path:
        if self.path is None:
            root = Path(settings.MCP_DATA_DIR) / "work"
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path = Path(tempfile.mkdtemp(dir=root))
        return self.path

    def remove(self) -> None:
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)


def _run(info: RunInfo, step: PlannedStep, definition: Prepared, given: Mapping[str, Any], hold: Hold) -> End:
    taken, kind = hold.taken, definition.kind
    opened, secrets = _open(info, step, definition, hold)
    folder = _Folder()
    context = Context(
        config=definition.config,
        inputs=given,
        connections={
            slug: ConnectionValues(slug=slug, type=one.type, config=one.config) for slug, one in opened.items()
        },
        step_connection=step.connection,
        secrets=secrets,
        folder=folder,
        timeout=step.timeout.attempt or kind.default_timeout,
        emit=Emit(log=hold.log, progress=hold.progress, metric=hold.metric, token=hold.token),
        cancelled=hold.must_stop,
        idempotency_key=f"{info.uid}:{taken.n}",
        attempt=taken.attempt,
        sandbox=settings.SANDBOX,
        labels=info.labels,
    )
    used = [{"slug": one.slug, "revision": one.revision, "fingerprint": one.fingerprint} for one in opened.values()]
    try:
        outcome = kind.run(context)
        output = hold.masker.data(outcome.output)
        _hold_to_schema(definition.output_schema, output, "output")
        text, ref = encode(output)
        _keep(outcome.artifacts, hold)
        usage = _usage(outcome, used, definition)
        return End(taken.run, taken.n, taken.attempt, "succeeded", output=text, ref=ref, usage=usage)
    except StepFailed as failure:
        _keep(failure.artifacts, hold)
        raise
    finally:
        folder.remove()


def _open(
    info: RunInfo, step: PlannedStep, definition: Prepared, hold: Hold
) -> tuple[dict[str, credentials.Opened], dict[str, str]]:
    """Open the connections that this attempt needs, and make their secrets unspeakable."""
    kind, config = definition.kind, definition.config
    wanted = kind.secrets(config)
    slugs = {*kind.connections(config), *(ref.connection for ref in wanted)}
    if step.connection:
        slugs.add(step.connection)
    if not slugs:
        return {}, {}
    opened = credentials.open_for_attempt(sorted(slugs), purpose=f"run #{info.id} step {step.key}")
    hold.masker = Masker(secret for one in opened.values() for secret in one.secrets)
    secrets = {}
    for ref in wanted:
        value = opened[ref.connection].config.get(ref.field)
        if not isinstance(value, str):
            raise StepFailed("user_error", f"Connection `{ref.connection}` has no field `{ref.field}` to hand over.")
        secrets[ref.env] = value
    return opened, secrets


def _keep(files: tuple[Artifact, ...], hold: Hold) -> None:
    taken = hold.taken
    for file in files:
        artifacts.record(
            run=taken.run,
            n=taken.n,
            step=taken.key,
            index=taken.index,
            attempt=taken.attempt,
            name=file.name,
            media_type=file.media_type,
            path=file.path,
        )


def _usage(outcome: Outcome, used: list[dict[str, Any]], definition: Prepared) -> dict[str, Any]:
    usage = {} if outcome.usage is None else {k: v for k, v in asdict(outcome.usage).items() if v not in (None, "", 0)}
    if used:
        usage["connections"] = used
    return usage | {"definition": f"{definition.slug}@{definition.number}"}


def _failed(step: PlannedStep | None, hold: Hold, failure: StepFailed) -> End:
    taken = hold.taken
    message = hold.masker.text(failure.message)[:MAX_MESSAGE].replace("\x00", "")
    error: dict[str, Any] = {"class": failure.error_class, "message": message}
    try:
        detail, _ = encode(hold.masker.data(failure.detail))
    except UncleanValue:
        detail = None
    if detail is not None and failure.detail:
        error["detail"] = hold.masker.data(failure.detail)
    if hold.must_stop():
        return _stopped(hold)
    policy = step.retry if step is not None else None
    delay = delay_before_retry(policy, failure.error_class, taken.attempt, failure.retry_after)
    if delay is not None:
        return End(taken.run, taken.n, taken.attempt, "retrying", reason="awaiting_retry", error=error, delay=delay)
    state = "timed_out" if failure.error_class == "timeout" else "failed"
    return End(taken.run, taken.n, taken.attempt, state, error=error)


def _stopped(hold: Hold) -> End:
    """How an attempt ends that was told to stop: cancelled with its run, or back in the queue."""
    taken = hold.taken
    if hold.handed_back and not hold.cancelled:
        return End(taken.run, taken.n, taken.attempt, "ready", reason="handed_back")
    return End(taken.run, taken.n, taken.attempt, "cancelled", reason="run_cancelled")
