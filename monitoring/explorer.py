"""Questions about series, checked: which, from when to when, in what buckets; and the answers for one person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from accounts.models import User
from mcp_site.core.errors import Problem, reject_if
from monitoring import series, spans
from monitoring.models import Series
from monitoring.sketch import AGGREGATES

MAX_SERIES, MAX_POINTS, MAX_VALUES = 100, 5000, 50
# What is chosen where nobody says: the first of these that gives no more than so many points.
BUCKETS, FEW = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400), 300


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that can be answered. `bucket` is in seconds, a multiple of 60."""

    name: str
    tags: dict[str, str]
    start: datetime
    end: datetime
    bucket: int
    aggregate: str


def moment_of(text: str) -> datetime:
    """Return a moment in UTC; without an offset it is UTC. Raises ValueError with a sentence."""
    try:
        # A plus in a query string arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError("write a moment such as 2026-11-24T14:00:00Z") from exc


def ask(
    *, name: str, tags: dict[str, str], start: datetime, end: datetime, bucket: str = "", aggregate: str = "avg"
) -> Asked:
    """Return the question. Raises Rejected with every fault and the parameter that it is in."""
    problems = []
    if not name:
        problems.append(Problem("name", "required", "is required"))
    if any("\x00" in text for text in (name, *tags, *tags.values())):
        problems.append(Problem("name", "null_character", "may not hold the NUL character, nor may tags"))
    if aggregate not in AGGREGATES:
        problems.append(Problem("aggregate", "invalid_choice", f"one of {', '.join(AGGREGATES)}"))
    seconds = int((end - start).total_seconds())
    if seconds <= 0:
        problems.append(Problem("from", "invalid", "must be before `to`"))
    width = next((width for width in BUCKETS if seconds / width <= FEW), BUCKETS[-1])
    if bucket:
        try:
            width = spans.seconds_of(bucket)
        except ValueError as exc:
            problems.append(Problem("bucket", "invalid", str(exc)))
    if width < 60 or width % 60:
        problems.append(Problem("bucket", "invalid", "must be whole minutes"))
    elif seconds / width > MAX_POINTS:
        problems.append(Problem("bucket", "too_small", f"gives more than {MAX_POINTS} points"))
    reject_if(problems)
    return Asked(name, tags, start, end, width, aggregate)


def lines(person: User, asked: Asked) -> tuple[list[tuple[dict[str, str], list[list[Any]]]], int]:
    """Return tags and points of each series that `person` may see, and how many beyond the newest 100 are left out.

    Two or three queries.
    """
    visible = Series.objects.visible_to(person).filter(name=asked.name).tagged(asked.tags)
    found = dict(visible.order_by("-last_at", "id").values_list("pk", "tags")[: MAX_SERIES + 1])
    left_out = visible.count() - MAX_SERIES if len(found) > MAX_SERIES else 0
    keys = list(found)[:MAX_SERIES]
    read = series.points(keys, asked.start, asked.end, asked.bucket, asked.aggregate)
    return [(found[line.series_id], [[at, value] for at, value in line.points]) for line in read], left_out


def tag_values(person: User, names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return, by name of series and of tag, the values there are, at most MAX_VALUES of each. One query."""
    wanted = list(names)
    if not wanted:
        return {}
    visible = Series.objects.visible_to(person).filter(name__in=wanted).order_by()
    sql, params = visible.values("name", "tags").query.sql_with_params()
    # The inner statement is Django's own with its parameters.
    statement = f"""
        select name, key, (array_agg(value order by value))[:{MAX_VALUES}] from (
          select distinct s.name, t.key, t.value from ({sql}) s, jsonb_each_text(s.tags) t) d
        group by 1, 2 order by 1, 2"""  # noqa: S608
    found: dict[str, dict[str, list[str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        for name, key, values in cursor.fetchall():
            found.setdefault(name, {})[key] = values
    return found
