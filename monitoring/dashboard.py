"""The first page in numbers: what runs now, how the last day went, what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from accounts.models import User
from connections.models import Connection
from definitions.models import Definition
from mcp_site.core import clock
from monitoring import stats
from monitoring.models import Alert, Notification, Rollup, Series
from monitoring.states import AlertState
from monitoring.stats import Outcomes
from workflows.models import Run, Workflow

WINDOW = timedelta(hours=24)
RECENT, GOING, FAILED = 8, 8, 4
# The chart's drawing area, in its own units.
CHART_WIDTH, CHART_HEIGHT, CHART_TOP, CHART_LEFT = 720, 124, 24, 26
_SCALE = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome in one hour of the chart."""

    state: str
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Outcomes by hour, ready to be drawn: bars, lines with their numbers, hours with their places."""

    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, int], ...]
    hours: tuple[tuple[float, str], ...]
    says: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are that the person may see."""

    definitions: int
    workflows: int
    connections: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything on the first page."""

    going: Sequence[Run]
    going_total: int
    outcomes: Outcomes
    p95: timedelta | None
    ready: int
    oldest_ready: datetime | None
    counts: Counts
    recent: Sequence[Run]
    failed: Sequence[Run]
    chart: Chart | None

    @property
    def bad(self) -> int:
        """Return how many runs ended badly within the window."""
        return self.outcomes.totals.get("failed", 0) + self.outcomes.totals.get("timed_out", 0)

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody has run anything yet, so that the first steps are shown."""
        return not self.recent


def summary(person: User) -> Summary:
    """Read the numbers. A fixed number of queries, whatever there is."""
    since = clock.now() - WINDOW
    runs = Run.objects.visible_to(person)
    shown = runs.for_api().defer("output", "inputs", "version__graph", "graph", "pins")
    going = list(shown.unfinished().order_by("-id")[:GOING])
    outcomes = stats.outcomes_since(person, since)
    ready, oldest = stats.queue(person)
    return Summary(
        going=going,
        going_total=runs.unfinished().count(),
        outcomes=outcomes,
        p95=stats.p95_since(person, since),
        ready=ready,
        oldest_ready=oldest,
        counts=Counts(
            Definition.objects.visible_to(person).active().count(),
            Workflow.objects.visible_to(person).active().count(),
            Connection.objects.visible_to(person).active().count(),
        ),
        recent=list(shown.order_by("-id")[:RECENT]),
        failed=list(shown.filter(state__in=("failed", "timed_out"), finished_at__gte=since).order_by("-id")[:FAILED]),
        chart=chart_of(outcomes, clock.now()) if outcomes.ended else None,
    )


def running_now(person: Any) -> int:
    """Return how many runs are going that `person` may see. One query."""
    return Run.objects.visible_to(person).unfinished().count()


def open_alerts(person: Any) -> int:
    """Return how many alerts nobody looks after yet, of those that `person` may see. One query."""
    return Alert.objects.visible_to(person).filter(state=AlertState.OPEN).count()


def unread(person: Any) -> int:
    """Return how many lines of the person's inbox are unread. One query."""
    return Notification.objects.filter(person=person.pk, read_at=None).count()


def spent_today(person: User) -> tuple[int, Decimal]:
    """Return tokens and cost since midnight UTC: of the series, and of the runs, that `person` may see. Two queries."""
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    asked = Series.objects.visible_to(person).filter(name__in=("llm.input_tokens", "llm.output_tokens"))
    rolled = Rollup.objects.filter(width=60, series__in=asked, at__gte=midnight)
    tokens = rolled.aggregate(all=Sum("total"))["all"]
    cost = Run.objects.visible_to(person).filter(created_at__gte=midnight).aggregate(all=Sum("cost"))["all"]
    return int(tokens or 0), cost or Decimal(0)


def chart_of(outcomes: Outcomes, now: datetime) -> Chart:
    """Place the outcomes of the last 24 hours. Pure."""
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=back) for back in range(23, -1, -1)]
    highest = max((sum(outcomes.by_hour.get(hour, {}).values()) for hour in hours), default=0)
    step = next(size for size in _SCALE if size * 3 >= highest)
    unit = (CHART_HEIGHT - CHART_TOP) / (step * 3)
    pitch = (CHART_WIDTH - CHART_LEFT) / 24
    bars: list[Bar] = []
    for place, hour in enumerate(hours):
        bars += _stack(outcomes.by_hour.get(hour, {}), CHART_LEFT + 6 + place * pitch, unit)
    lines = tuple((round(CHART_HEIGHT - number * step * unit, 1), number * step) for number in range(4))
    ticks = tuple((round(CHART_LEFT + 14 + place * pitch, 1), f"{hours[place]:%H:%M}") for place in range(0, 24, 4))
    said = ", ".join(f"{outcomes.totals[state]} {state.replace('_', ' ')}" for state in _present(outcomes.totals))
    return Chart(tuple(bars), lines, ticks, said)


def _present(counts: Mapping[str, int]) -> list[str]:
    return [state for state in stats.OUTCOMES if counts.get(state)]


def _stack(counts: Mapping[str, int], x: float, unit: float) -> list[Bar]:
    bars = []
    top = float(CHART_HEIGHT)
    for state in _present(counts):
        height = max(1.5, counts[state] * unit)
        top -= height
        bars.append(Bar(state, round(x, 1), round(top, 1), round(height - 0.5, 1)))
    return bars
