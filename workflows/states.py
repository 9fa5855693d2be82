"""The words of the engine: states, what may follow what, and which states are final."""

from __future__ import annotations

from django.db.models import TextChoices


class RunState(TextChoices):
    """How a run stands. `waiting` is computed for display and never stored."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class StepState(TextChoices):
    """How a step of a run stands. `failed` is the author's or the remote's fault, `crashed` is ours."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class JoinRule(TextChoices):
    """When a step with several parents starts.

    Two are the engine's own: `map`, for a mapped step that waits for its items, and `handler`, for `on_failure`.
    """

    ALL_SUCCEEDED = "all_succeeded"
    ALL_DONE = "all_done"
    ANY_SUCCEEDED = "any_succeeded"
    ANY_FAILED = "any_failed"
    NONE_FAILED = "none_failed"
    MAP = "map"
    HANDLER = "handler"


_R, _S = RunState, StepState
RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    _R.QUEUED: frozenset({_R.RUNNING, _R.PAUSED, _R.CANCELLED, _R.TIMED_OUT, _R.CANCELLING}),
    _R.RUNNING: frozenset({_R.PAUSED, _R.SUCCEEDED, _R.FAILED, _R.TIMED_OUT, _R.CANCELLING, _R.CANCELLED}),
    _R.PAUSED: frozenset({_R.QUEUED, _R.RUNNING, _R.SUCCEEDED, _R.FAILED, _R.TIMED_OUT, _R.CANCELLING, _R.CANCELLED}),
    _R.CANCELLING: frozenset({_R.CANCELLED}),
}
STEP_TRANSITIONS: dict[StepState, frozenset[StepState]] = {
    _S.PENDING: frozenset({_S.READY, _S.RUNNING, _S.SKIPPED, _S.CANCELLED}),
    _S.READY: frozenset({_S.RUNNING, _S.TIMED_OUT, _S.CANCELLED}),
    _S.RUNNING: frozenset(
        {_S.SUCCEEDED, _S.FAILED, _S.CRASHED, _S.TIMED_OUT, _S.CANCELLED, _S.RETRYING, _S.SKIPPED, _S.WAITING, _S.READY}
    ),
    _S.WAITING: frozenset({_S.READY, _S.SUCCEEDED, _S.FAILED, _S.TIMED_OUT, _S.CANCELLED}),
    _S.RETRYING: frozenset({_S.READY, _S.CANCELLED, _S.TIMED_OUT}),
}
RUN_TERMINAL = frozenset(RunState) - RUN_TRANSITIONS.keys()
STEP_TERMINAL = frozenset(StepState) - STEP_TRANSITIONS.keys()

# What the engine itself evaluates, a run's output, is a step too: its kind, its queue, and a key that no user writes.
CONTROL_KIND = CONTROL_QUEUE = "control"
CONTROL_KEY = "_output"
# A step that waits for people: the engine itself asks them.
APPROVAL_KIND = "approval"
# A step that starts a run of another workflow and waits for its end.
CHILD_KIND = "workflow"
# The step that the graph's `on_failure` becomes: it has a definition as others have, and a key that is taken.
HANDLER_KEY = "on_failure"
