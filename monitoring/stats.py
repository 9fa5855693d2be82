"""Numbers about many runs, each in one query: outcomes by hour, durations, the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, DateTimeField, DurationField, F, Min, Q
from django.db.models.functions import Trunc

from workflows.models import Run, StepRun
from workflows.states import StepState

# The outcomes that a chart shows, from the bottom of a bar up.
OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled")


class Percentile95(Aggregate):
    """The value that 95 of 100 do not exceed."""

    function = "percentile_cont"
    name = "Percentile95"
    template = "%(function)s(0.95) within group (order by %(expressions)s)"
    output_field = DurationField()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How the runs that ended within a time went."""

    by_hour: Mapping[datetime, Mapping[str, int]]
    totals: Mapping[str, int]

    @property
    def ended(self) -> int:
        """Return how many there were."""
        return sum(self.totals.values())

    @property
    def success_rate(self) -> float | None:
        """Return the share that succeeded, in per cent; what people cancelled says nothing about it."""
        counted = self.ended - self.totals.get("cancelled", 0)
        return 100 * self.totals.get("succeeded", 0) / counted if counted else None


def outcomes_since(person: Any, since: datetime) -> Outcomes:
    """Return how the runs that `person` may see went since then, by hour."""
    ended = Run.objects.visible_to(person).filter(finished_at__gte=since)
    hours = ended.annotate(hour=Trunc("finished_at", "hour", output_field=DateTimeField()))
    by_hour: dict[datetime, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for row in hours.order_by().values("hour", "state").annotate(runs=Count("pk")):
        by_hour.setdefault(row["hour"], {})[row["state"]] = row["runs"]
        totals[row["state"]] = totals.get(row["state"], 0) + row["runs"]
    return Outcomes(by_hour, totals)


def p95_since(person: Any, since: datetime) -> timedelta | None:
    """Return the duration that 95 of 100 succeeded runs did not exceed since then."""
    ended = Run.objects.visible_to(person).filter(finished_at__gte=since, state="succeeded", started_at__isnull=False)
    found: timedelta | None = ended.aggregate(p95=Percentile95(F("finished_at") - F("started_at")))["p95"]
    return found


def queue(person: Any) -> tuple[int, datetime | None]:
    """Return how many steps wait for a worker, and since when the first of them does."""
    runs = Run.objects.visible_to(person).unfinished().values("pk")
    ready = StepRun.objects.filter(Q(state=StepState.READY), run__in=runs)
    answer = ready.aggregate(steps=Count("pk"), oldest=Min("ready_at"))
    return answer["steps"], answer["oldest"]
