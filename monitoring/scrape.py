"""What a Prometheus scraper reads: counters and gauges in its text format.

Everything is computed from the database, so that each of any number of processes gives the same answer and none loses
its counts when it ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

from django.conf import settings
from django.db.models import Count, Min

from mcp_site.core import clock
from monitoring.models import Alert, Counter
from monitoring.states import AlertState, Severity
from workflows.models import Run, StepRun
from workflows.states import RUN_TERMINAL, RunState, StepState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "mcp_runs_total": ("counter", "Runs that ended, by how and by what had started them."),
    "mcp_run_duration_seconds": ("histogram", "From a run's first step to its end."),
    "mcp_run_queue_seconds": ("histogram", "From a run's start to its first step."),
    "mcp_attempts_total": ("counter", "Attempts at steps, by kind of definition and outcome."),
    "mcp_attempt_duration_seconds": ("histogram", "How long attempts took, by kind of definition."),
    "mcp_llm_request_duration_seconds": ("histogram", "How long attempts at LLM steps took, by model."),
    "mcp_llm_tokens_total": ("counter", "Tokens of LLM steps, by model and direction."),
    "mcp_llm_cost_total": ("counter", "Cost of LLM steps, by model and currency."),
    "mcp_build_info": ("gauge", "Always 1; the label says the panel's version."),
    "mcp_runs": ("gauge", "Runs that have not ended, by state."),
    "mcp_steps_running": ("gauge", "Steps that a worker holds now."),
    "mcp_queue_depth": ("gauge", "Steps that wait for a worker, by queue."),
    "mcp_alerts_unresolved": ("gauge", "Alerts that are not resolved, by severity and state."),
    "mcp_queue_oldest_seconds": ("gauge", "For how long the first of them has waited, by queue."),
}
_PARTS = ("_bucket", "_count", "_sum")
Value = tuple[str, dict[str, str], float]


def text() -> str:
    """Return the whole exposition, families in the order of HELP. Six queries."""
    values = [*_counters(), *_gauges()]
    by_family: dict[str, list[Value]] = {}
    for value in values:
        by_family.setdefault(_family(value[0]), []).append(value)
    lines: list[str] = []
    for family, (kind, about) in HELP.items():
        if family in by_family:
            lines += [f"# HELP {family} {about}", f"# TYPE {family} {kind}"]
            lines += map(_line, by_family[family] if kind != "histogram" else _histograms(by_family[family]))
    return "\n".join([*lines, ""])


def _family(name: str) -> str:
    return next((base for part in _PARTS if (base := name.removesuffix(part)) in HELP), name)


def _counters() -> Iterator[Value]:
    yield from Counter.objects.order_by("name", "pk").values_list("name", "labels", "value")


def _gauges() -> Iterator[Value]:
    yield "mcp_build_info", {"version": settings.VERSION}, 1
    states = dict(Run.objects.unfinished().order_by().values_list("state").annotate(runs=Count("pk")))
    for state in RunState:
        if state not in RUN_TERMINAL:
            yield "mcp_runs", {"state": state.value}, states.get(state, 0)
    yield "mcp_steps_running", {}, StepRun.objects.filter(state=StepState.RUNNING).count()
    alerts = Alert.objects.unresolved().order_by().values_list("severity", "state").annotate(alerts=Count("pk"))
    found = {(severity, state): number for severity, state, number in alerts}
    for severity in Severity:
        for standing in (AlertState.OPEN, AlertState.ACKNOWLEDGED):
            labels = {"severity": severity.value, "state": standing.value}
            yield "mcp_alerts_unresolved", labels, found.get((severity, standing), 0)
    ready = StepRun.objects.filter(state=StepState.READY).order_by().values("queue")
    for row in ready.annotate(steps=Count("pk"), oldest=Min("ready_at")).order_by("queue"):
        yield "mcp_queue_depth", {"queue": row["queue"]}, row["steps"]
        age = (clock.now() - row["oldest"]).total_seconds()
        yield "mcp_queue_oldest_seconds", {"queue": row["queue"]}, max(0.0, age)


def _histograms(values: Iterable[Value]) -> Iterator[Value]:
    """Yield each histogram whole: its borders in order, one at infinity, sum and count.

    A border that no value has been under is not stored; what it counts is what the border before it does, so it need
    not be there.
    """

    def key(value: Value) -> list[tuple[str, str]]:
        return sorted((name, text) for name, text in value[1].items() if name != "le")

    for labels, group in groupby(sorted(values, key=key), key=key):
        parts = list(group)
        count = next(value for name, _, value in parts if name.endswith("_count"))
        buckets = sorted((v for v in parts if v[0].endswith("_bucket")), key=lambda v: float(v[1]["le"]))
        yield from buckets
        base = next(name for name, _, _ in parts if name.endswith("_count")).removesuffix("_count")
        yield f"{base}_bucket", {**dict(labels), "le": "+Inf"}, count
        yield from (value for value in parts if not value[0].endswith("_bucket"))


def _line(value: Value) -> str:
    name, labels, number = value
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items()))
    shown = str(int(number)) if math.isfinite(number) and number == int(number) and abs(number) < 1e15 else repr(number)
    return f"{name}{{{inside}}} {shown}" if inside else f"{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
