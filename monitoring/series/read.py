"""Reading series back: one value per bucket of time, from the widest roll-ups that the buckets are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection

from monitoring.sketch import QUANTILES, Sketch, merged_quantile, unpacked

WIDTHS = (86400, 3600, 60)

# What a stored row already says, where a bucket is one row.
_STORED = {"avg": "total / count", "min": "low", "max": "high", "sum": "total", "count": "count::float8"}
_STORED |= {name: name for name in QUANTILES}
# What rows of a bucket come to. Percentiles have no such formula: their classes are merged.
_MERGED = {
    "avg": "sum(total) / sum(count)",
    "min": "min(low)",
    "max": "max(high)",
    "sum": "sum(total)",
    "count": "sum(count)::float8",
}
_COLUMNS = "count, total, low, high, classes"


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one series: the start of each bucket (UTC) and its value; buckets without samples are absent."""

    series_id: int
    points: tuple[tuple[datetime, float], ...]


def floor(at: datetime, seconds: int) -> datetime:
    """Return the start of the bucket of that many seconds that `at` is in; buckets count from 1970 in UTC."""
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def points(series: Sequence[int], start: datetime, end: datetime, bucket: int, aggregate: str) -> list[Line]:
    """Return `aggregate` of each series per `bucket` seconds (a multiple of 60), from `start` on and before `end`.

    One query. The first bucket is whole: it may begin before `start`.
    """
    width = next(width for width in WIDTHS if bucket % width == 0)
    start = floor(start, bucket)
    rows: Iterable[Any]
    if width == bucket:
        rows = _rows(f"select series_id, at, {_STORED[aggregate]}", "order by 1, 2", width, series, start, end)
    elif aggregate in QUANTILES:
        rows = _merged(series, start, end, width, bucket, aggregate)
    else:
        begin = f"to_timestamp(floor(extract(epoch from at) / {int(bucket)}) * {int(bucket)})"
        chosen = f"select series_id, {begin}, {_MERGED[aggregate]}"
        rows = _rows(chosen, "group by 1, 2 order by 1, 2", width, series, start, end)
    found: dict[int, list[tuple[datetime, float]]] = {key: [] for key in series}
    for key, at, value in rows:
        found[key].append((at, value))
    return [Line(key, tuple(points)) for key, points in found.items()]


def totals(series: Sequence[int], start: datetime, end: datetime) -> dict[int, Sketch]:
    """Return what each series came to from the minute of `start` on and before `end`: empty where there is nothing.

    One query. Whole hours that ended more than an hour ago are read as such, so that a week costs no more than a day.
    """
    start = floor(start, 60)
    first, last = floor(start + timedelta(minutes=59), 3600), floor(end, 3600) - timedelta(hours=1)
    last = max(first, last)
    sql = f"""
        select series_id, {_COLUMNS} from monitoring_rollups where series_id = any(%s) and (
          width = 60 and at >= %s and at < %s and not (at >= %s and at < %s)
          or width = 3600 and at >= %s and at < %s)"""  # noqa: S608
    found = {key: Sketch() for key in series}
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(series), start, end, first, last, first, last])
        for key, count, total, low, high, classes in cursor.fetchall():
            found[key].merge(Sketch(count, total, low, high, unpacked(classes)))
    return found


def minutes_of(series: Sequence[int], start: datetime, end: datetime) -> dict[int, list[tuple[datetime, Sketch]]]:
    """Return what each minute of each series came to, in order, from `start` on and before `end`. One query."""
    found: dict[int, list[tuple[datetime, Sketch]]] = {key: [] for key in series}
    for key, at, sketch in sketches(60, series, start, end):
        found[key].append((at, sketch))
    return found


def sketches(
    width: int, series: Sequence[int], start: datetime, end: datetime
) -> Iterator[tuple[int, datetime, Sketch]]:
    """Yield series, start and summary of each roll-up of `width` seconds, by series and time."""
    chosen = f"select series_id, at, {_COLUMNS}"
    for key, at, count, total, low, high, classes in _rows(chosen, "order by 1, 2", width, series, start, end):
        yield key, at, Sketch(count, total, low, high, unpacked(classes))


def _merged(
    series: Sequence[int], start: datetime, end: datetime, width: int, bucket: int, aggregate: str
) -> Iterator[tuple[int, datetime, float]]:
    chosen = "select series_id, at, count, low, high, classes"
    rows = _rows(chosen, "order by 1, 2", width, series, start, end)
    for (key, at), group in groupby(rows, key=lambda row: (row[0], floor(row[1], bucket))):
        yield key, at, merged_quantile((row[2:] for row in group), QUANTILES[aggregate])


def _rows(chosen: str, tail: str, width: int, series: Sequence[int], start: datetime, end: datetime) -> list[Any]:
    # The pieces of the statement are this module's own; what comes from outside are parameters.
    sql = f"{chosen} from monitoring_rollups where width = %s and series_id = any(%s) and at >= %s and at < %s {tail}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [width, list(series), start, end])
        found: list[Any] = cursor.fetchall()
    return found
