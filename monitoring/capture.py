"""The panel measures itself: what finished runs took and cost, and how the queue stands.

Read by ticks from what the engine has committed, so that a worker pays nothing, nothing is measured twice, and nothing
is missed because a process died between its commit and a signal.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Max, Min

from definitions.models import DefinitionVersion
from mcp_site.core import clock
from monitoring import faults, series
from monitoring.faults import Seen
from monitoring.models import MeasuredRun, Series
from monitoring.series import Identity, Measured
from workflows.models import Attempt, Run, StepRun
from workflows.states import RunState, StepState

RUNS = 500
# A run's end is committed within moments of its time; so far back those are looked for that came later than others.
LATE = timedelta(minutes=5)
REMEMBERED = timedelta(days=1)
# Upper borders of the histograms, in seconds.
BORDERS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600)
BAD = (RunState.FAILED, RunState.TIMED_OUT)
_BAD_STEPS = (StepState.FAILED, StepState.TIMED_OUT, StepState.CRASHED)
# An attempt with one of these outcomes is over for good or will be tried again: it did something that has a duration.
_MEASURED_OUTCOMES = (StepState.SUCCEEDED, *_BAD_STEPS, StepState.RETRYING)

_ADD = """
insert into monitoring_counters (name, labels, value) select * from unnest(%s::text[], %s::jsonb[], %s::float8[])
on conflict (name, labels) do update set value = monitoring_counters.value + excluded.value
"""


@dataclass
class _Tally:
    """What some runs came to: samples for series, additions to counters."""

    samples: list[Measured] = field(default_factory=list)
    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=lambda: defaultdict(float))
    faults: list[Seen] = field(default_factory=list)
    _known: dict[Any, Identity] = field(default_factory=dict)

    def sample(self, name: str, tags: Mapping[str, str], at: datetime, value: float, **about: int | None) -> None:
        key = (name, tuple(sorted(tags.items())), tuple(about.items()))
        identity = self._known.setdefault(key, Identity(name, tags, **about))
        self.samples.append(Measured(identity, at, value))

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] += value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Count into the histogram `name`: every border that the value does not exceed, the count, and the sum."""
        for border in BORDERS:
            if seconds <= border:
                self.add(f"{name}_bucket", 1, **labels, le=str(border))
        self.add(f"{name}_count", 1, **labels)
        self.add(f"{name}_sum", seconds, **labels)


def measure_runs() -> float | None:
    """Measure the runs that have ended since the last time. A tick; returns 0 when there are more."""
    with transaction.atomic():
        runs = _unmeasured()
        if not runs:
            return None
        tally = _Tally()
        ended = [(run.pk, run.finished_at) for run in runs if run.finished_at is not None]
        for run in runs:
            _measure_run(tally, run)
        _measure_attempts(tally, runs)
        series.store(tally.samples)
        _count(tally.counts)
        faults.write(tally.faults)
        MeasuredRun.objects.bulk_create(MeasuredRun(run_id=pk, finished_at=at) for pk, at in ended)
        newest = max(at for _, at in ended)
        MeasuredRun.objects.filter(finished_at__lt=newest - REMEMBERED).delete()
    return 0 if len(runs) == RUNS else None


def measure_queue() -> None:
    """Record how many steps wait in each queue, for how long the first has, and how many runs are going. A tick."""
    now = clock.now()
    ready = StepRun.objects.filter(state=StepState.READY).order_by()
    found = {
        row["queue"]: (row["steps"], (now - row["oldest"]).total_seconds())
        for row in ready.values("queue").annotate(steps=Count("pk"), oldest=Min("ready_at"))
    }
    # A queue that is empty again says so, or an alert about it would never end.
    known = Series.objects.filter(name="queue.depth").exclude(tags={}).values_list("tags__queue", flat=True)
    tally = _Tally()
    for queue in {*found, *known}:
        steps, oldest = found.get(queue, (0, 0.0))
        tally.sample("queue.depth", {"queue": queue}, now, steps)
        tally.sample("queue.oldest_seconds", {"queue": queue}, now, max(0.0, oldest))
    tally.sample("queue.depth", {}, now, sum(steps for steps, _ in found.values()))
    tally.sample("queue.oldest_seconds", {}, now, max((max(0.0, oldest) for _, oldest in found.values()), default=0.0))
    tally.sample("run.unfinished", {}, now, Run.objects.unfinished().count())
    series.store(tally.samples)


def _unmeasured() -> list[Run]:
    last = MeasuredRun.objects.aggregate(last=Max("finished_at"))["last"]
    since = last - LATE if last else clock.now() - timedelta(days=settings.METRICS_KEEP_DAYS)
    ended = Run.objects.filter(finished_at__gte=since).exclude(pk__in=MeasuredRun.objects.values("run_id"))
    shown = ended.select_related("workflow", "definition").defer("graph", "inputs", "output", "version")
    return list(shown.order_by("finished_at", "pk")[:RUNS])


def _measure_run(tally: _Tally, run: Run) -> None:
    if run.finished_at is None:
        return
    about = {"workflow_id": run.workflow_id, "definition_id": run.definition_id}
    tags = {"workflow" if run.workflow_id else "definition": run.subject.slug if run.subject else ""}
    at = run.finished_at
    tally.add("mcp_runs_total", state=run.state, trigger=run.trigger_kind)
    if run.started_at is not None:
        took, waited = (at - run.started_at).total_seconds(), (run.started_at - run.created_at).total_seconds()
        tally.sample("run.duration_seconds", {**tags, "state": run.state}, at, took, **about)
        tally.sample("run.queue_seconds", tags, at, max(0.0, waited), **about)
        tally.observe("mcp_run_duration_seconds", took)
        tally.observe("mcp_run_queue_seconds", max(0.0, waited))
    if run.state != RunState.CANCELLED:
        # What people cancelled says nothing about how a workflow does.
        bad = float(run.state in BAD)
        tally.sample("run.failed", tags, at, bad, **about)
        tally.sample("panel.run.failed", {}, at, bad)
    if run.cost:
        tally.sample("run.cost", tags, at, float(run.cost), **about)
        tally.sample("panel.run.cost", {}, at, float(run.cost))


def _measure_attempts(tally: _Tally, runs: Iterable[Run]) -> None:
    by_pk = {run.pk: run for run in runs}
    attempts = Attempt.objects.filter(run_id__in=by_pk, ended_at__isnull=False, outcome__in=_MEASURED_OUTCOMES)
    steps = {
        (run, n): (key, kind)
        for run, n, key, kind in StepRun.objects.shown()
        .filter(run_id__in=by_pk)
        .values_list("run_id", "n", "key", "kind")
    }
    pins = {pin["version"] for run in by_pk.values() for pin in run.pins.values()}
    versions = DefinitionVersion.objects.filter(pk__in=pins).select_related("definition")
    by_version = {version.pk: version for version in versions.only("number", "definition__slug", "definition")}
    for attempt, version, kind in _with_versions(attempts, by_pk, steps, by_version):
        _measure_attempt(tally, attempt, version, kind)


def _with_versions(
    attempts: Iterable[Attempt],
    runs: Mapping[int, Run],
    steps: Mapping[tuple[int, int], tuple[str, str]],
    versions: Mapping[int, DefinitionVersion],
) -> Iterator[tuple[Attempt, DefinitionVersion, str]]:
    """Yield the attempts at steps that have a definition, with its version and the step's kind."""
    for attempt in attempts:
        key, kind = steps.get((attempt.run_id, attempt.n), ("", ""))
        pin = runs[attempt.run_id].pins.get(key)
        version = versions.get(pin["version"]) if pin else None
        if version is not None:
            yield attempt, version, kind


def _measure_attempt(tally: _Tally, attempt: Attempt, version: DefinitionVersion, kind: str) -> None:
    if attempt.ended_at is None:
        return
    at, took = attempt.ended_at, (attempt.ended_at - attempt.started_at).total_seconds()
    outcome = str(attempt.outcome)
    about = {"definition_id": version.definition_id}
    tags = {"definition": version.definition.slug, "version": str(version.number)}
    tally.sample("step.duration_seconds", tags, at, took, **about)
    tally.sample("step.failed", tags, at, float(outcome != StepState.SUCCEEDED), **about)
    if outcome != StepState.SUCCEEDED:
        error = attempt.error or {}
        tally.faults.append(
            faults.seen_in_run(
                error_class=str(error.get("class") or outcome),
                message=str(error.get("message") or ""),
                definition_id=version.definition_id,
                run_id=attempt.run_id,
                at=at,
            )
        )
    tally.add("mcp_attempts_total", kind=kind, outcome=outcome)
    tally.observe("mcp_attempt_duration_seconds", took, kind=kind)
    usage = attempt.usage or {}
    model = str(usage.get("model") or "")
    if not model:
        return
    tally.sample("llm.latency_seconds", {**tags, "model": model}, at, took, **about)
    tally.observe("mcp_llm_request_duration_seconds", took, model=model)
    for way in ("input", "output"):
        if tokens := usage.get(f"{way}_tokens"):
            tally.sample(f"llm.{way}_tokens", {**tags, "model": model}, at, float(tokens), **about)
            tally.add("mcp_llm_tokens_total", float(tokens), model=model, type=way)
    if cost := usage.get("cost"):
        currency = str(usage.get("currency") or "USD")
        tally.sample("llm.cost", {**tags, "model": model, "currency": currency}, at, float(cost), **about)
        tally.add("mcp_llm_cost_total", float(cost), model=model, currency=currency)


def _count(counts: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> None:
    rows = [(name, json.dumps(dict(labels)), value) for (name, labels), value in sorted(counts.items())]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])
