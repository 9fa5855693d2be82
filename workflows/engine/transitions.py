"""The only writer of a state: each function is one transaction, and what it announces goes out after its commit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction

from workflows import events, executors
from workflows.engine import store
from workflows.models import Run, StepRun
from workflows.signals import run_finished
from workflows.states import RUN_TERMINAL, STEP_TERMINAL, RunState, StepState

logger = logging.getLogger(__name__)

MAX_LOSSES = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that this worker holds from now on, with what its attempt reads. `attempt` is the fence token."""

    id: int
    run: int
    n: int
    key: str
    index: int | None
    attempt: int
    item: Any
    short: bool
    # By position (as text): {state, output, ref}.
    inputs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: the state its step goes to, and what is kept."""

    run: int
    n: int
    token: int
    state: str
    reason: str | None = None
    # JSON text, made once by whoever knows that it is clean.
    output: str | None = None
    ref: str | None = None
    error: Mapping[str, Any] | None = None
    # Seconds until a retry.
    delay: float | None = None
    usage: Mapping[str, Any] | None = field(default=None)
    # The state that a step was seen in, under its run's lock, which the panel itself ends: no worker holds it.
    was: str | None = None

    def as_json(self) -> str:
        """Return the record that `wf_end` reads; the output goes in as it is."""
        record = {name: value for name, value in asdict(self).items() if value is not None and name != "output"}
        text = json.dumps(record)
        return text if self.output is None else f'{text[:-1]}, "output": {self.output}}}'


@dataclass(frozen=True, slots=True)
class Claimed:
    """Steps that were taken; if none, perhaps a run that others held (`hot`), to be waited for next time."""

    taken: tuple[Taken, ...]
    hot: int | None = None


def _announce(run: int, happened: Sequence[Mapping[str, Any]] | None) -> None:
    if not happened:
        return
    events.announce(run, happened)
    last = str(happened[-1]["kind"])
    state = last.removeprefix("run.")
    if last.startswith("run.") and state in RUN_TERMINAL:
        run_finished.send(sender=None, run_id=run, state=state)


def _after_commit(
    run: int,
    happened: Sequence[Mapping[str, Any]] | None,
    queues: Iterable[str] | None,
    after: Mapping[str, Any] | None = None,
) -> None:
    transaction.on_commit(partial(_announce, run, happened))
    if queues:
        transaction.on_commit(partial(executors.get("celery").ring, tuple(queues)))
    if after:
        afterwards(partial(_follow_up, run, after))


def afterwards(act: Callable[[], None]) -> None:
    """Do something to other runs in a transaction after this one; where that fails, the sweeper does it."""
    transaction.on_commit(partial(_try, act))


def _try(act: Callable[[], None]) -> None:
    try:
        act()
    except DatabaseError as exc:
        logger.warning("something that follows from an end was left to the sweeper: %s", type(exc).__name__)


def _follow_up(run: int, after: Mapping[str, Any]) -> None:
    if "limit" in after:
        admit(after["limit"])
    if "parent" in after:
        child_ended(run)
    if "orphans" in after:
        cancel_orphans(run)


def _taken(rows: Iterable[Mapping[str, Any]]) -> tuple[Taken, ...]:
    return tuple(Taken(**row) for row in rows)


def start(run: int, steps: Sequence[Mapping[str, Any]], *, held: bool = False) -> None:
    """Write the steps and first events of the run whose row was just made. Call inside its transaction.

    `held`: the run waits for its slot, and nothing of it is claimed until it has it.
    """
    answer = store.start(run, steps, held)
    _after_commit(run, answer["events"], answer["queues"])


def claim(queues: list[str], worker: str, count: int, lease: float, first: int | None = None) -> Claimed:
    """Take the best ready steps of these queues."""
    answer = store.claim(queues, worker, count, lease, first)
    for run, happened in answer["events"].items():
        _after_commit(int(run), happened, None)
    return Claimed(_taken(answer["taken"]), answer["hot"])


def complete(
    ends: Sequence[End], worker: str, queues: list[str], take: int, lease: float
) -> tuple[set[tuple[int, int]], Claimed]:
    """End attempts and take the next steps, in one commit.

    Returns which (run, n) were accepted (the others had been taken away: somebody was first), and what was taken.
    """
    items = f"[{', '.join(end.as_json() for end in ends)}]"
    answer = store.complete(items, worker, queues, take, lease)
    accepted = set()
    for result in answer["results"]:
        accepted |= {(result["run"], n) for n in result["accepted"]}
        _after_commit(result["run"], result["events"], result["ring"], result["after"])
    for run, happened in answer["claimed"].items():
        _after_commit(int(run), happened, None)
    return accepted, Claimed(_taken(answer["taken"]), answer["hot"])


def expand(taken: Taken, worker: str, items: str, parallel: int, allowed: int = 0) -> bool:
    """Turn a mapped step into its items, of which `allowed` may end badly.

    False: it was taken away, or its run is being cancelled.
    """
    answer = store.expand(taken.run, taken.n, taken.attempt, worker, items, parallel, allowed)
    if answer["accepted"]:
        _after_commit(taken.run, answer["events"], [answer["ring"]])
    return bool(answer["accepted"])


def wait(taken: Taken, worker: str, reason: str, wake: float | None, data: Mapping[str, Any]) -> bool:
    """Let a step wait without a worker, for `wake` seconds at most. False: it was taken away, or is being cancelled."""
    answer = store.wait(taken.run, taken.n, taken.attempt, worker, reason, wake, json.dumps(data))
    _after_commit(taken.run, answer["events"], None)
    return bool(answer["accepted"])


def lock(run: int) -> None:
    """Wait for a run and keep it to the end of the transaction: what is read after this is how it stands."""
    store.lock(run)


def end_waiting(
    step: StepRun,
    state: str,
    reason: str,
    *,
    output: str | None = None,
    ref: str | None = None,
    error: Mapping[str, Any] | None = None,
) -> None:
    """End a step that was seen waiting under its run's lock (`lock`). `output` is JSON text."""
    end = End(step.run_id, step.n, step.attempt, state, reason, output, ref, error, was="waiting")
    answer = store.end(step.run_id, f"[{end.as_json()}]")
    _after_commit(step.run_id, answer["events"], answer["ring"], answer["after"])


@transaction.atomic
def child_ended(run: int) -> None:
    """End the step that waits for a child run, as that ended; its output is referenced, not copied."""
    child = Run.objects.only("state", "reason").get(pk=run)
    seen = StepRun.objects.only("run_id").filter(child_runs=run).first()
    if seen is None:
        return
    lock(seen.run_id)
    step = StepRun.objects.only("run", "n", "key", "index", "attempt", "state").get(pk=seen.pk)
    if step.state != StepState.WAITING:
        return
    if child.state == RunState.SUCCEEDED:
        end_waiting(step, StepState.SUCCEEDED, "child_succeeded", ref=f"run:{run}")
        return
    why = f": {child.reason}" if child.reason else ""
    error = {"class": "child_failed", "message": f"run #{run} was {child.state.replace('_', ' ')}{why}"}
    end_waiting(step, StepState.FAILED, f"child_{child.state}", ref=f"run:{run}", error=error)


def cancel_orphans(run: int | None = None) -> None:
    """Cancel child runs whose step (of `run`, or of any) has ended before them; theirs follow from that."""
    orphans = Run.objects.unfinished().filter(parent_step__state__in=STEP_TERMINAL).order_by("pk")
    if run is not None:
        orphans = orphans.filter(parent_step__run=run)
    for child in orphans.exclude(state=RunState.CANCELLING).values_list("pk", flat=True):
        cancel(child)


def admit(limit: int) -> None:
    """Give the free slots of a limit to the runs that wait for them."""
    for result in store.admit(limit)["results"]:
        _after_commit(result["run"], result["events"], result["ring"])


def pause(run: int, reason: str) -> bool:
    """Have nothing more of a run claimed; `reason` says in words who wants that. False: it is not going on."""
    answer = store.pause(run, reason)
    _after_commit(run, answer["events"], None)
    return bool(answer["changed"])


def resume(run: int) -> bool:
    """Let a paused run go on. False: it is not paused."""
    answer = store.resume(run)
    _after_commit(run, answer["events"], answer["ring"], answer["after"])
    return bool(answer["changed"])


def cancel(run: int) -> bool:
    """Cancel a run. False: it had ended, or was being cancelled already."""
    answer = store.cancel(run)
    _after_commit(run, answer["events"], None, answer["after"])
    return bool(answer["events"])


def sweep() -> tuple[float | None, list[str]]:
    """Take back what lost workers held, end what is out of time, and wake what is due.

    Returns the seconds to the next clock that is known of, and the queues with steps that nobody took for a second.
    """
    answer = store.sweep(MAX_LOSSES)
    for result in answer["results"]:
        _after_commit(result["run"], result["events"], result["ring"], result["after"])
    due = answer["due"]
    return max(0.05, float(due)) if due is not None else None, store.waiting_queues(1.0)


def heartbeat(worker: str, lease: float, held: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Renew the leases that this worker names; by step id `ok`, `cancel` or `lost`."""
    return store.heartbeat(worker, lease, held)


def note(taken: Taken, kind: str, data: Mapping[str, Any]) -> None:
    """Add a numbered event that changes no state, such as `step.progress`."""
    _note(taken.run, kind, taken.n, taken.key, taken.index, taken.attempt, data)


def note_of_step(step: StepRun, kind: str, data: Mapping[str, Any]) -> None:
    """Add a numbered event to a step that no worker holds."""
    _note(step.run_id, kind, step.n, step.key, step.index, step.attempt, data)


def _note(run: int, kind: str, n: int, key: str, index: int | None, attempt: int, data: Mapping[str, Any]) -> None:
    answer = store.note(run, kind, n, key, index, attempt, json.dumps(data))
    if answer["event"] is not None:
        _after_commit(run, [answer["event"]], None)


def keep_partitions() -> None:
    """See to it that the next 100,000 runs have a partition to go to."""
    store.partitions(store.last_run(), 2)
