"""Rolling samples up to minutes, minutes to hours, hours to days: whatever is due is computed anew, in any order.

A roll-up is a function of what lies under it, so that doing it twice, or late, comes to the same. What is due stands in
rows that are written with the samples and deleted with the roll-up; nothing is ever counted from a cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from mcp_site.core import clock
from monitoring.models import Due
from monitoring.series.read import floor
from monitoring.sketch import QUANTILES, Sketch, unpacked

# What each width is made of; minutes are made of samples.
ABOVE = {60: 3600, 3600: 86400}
BELOW = {wide: narrow for narrow, wide in ABOVE.items()}
# Notes taken at once, and roll-ups written by one statement.
NOTES, ROWS = {60: 1000, 3600: 20_000, 86400: 20_000}, 5000
# The month of this moment and the next two are there before they are needed.
AHEAD = timedelta(days=62)
# Samples may be this far ahead of our clock: those of others are never quite the same.
EARLY = timedelta(minutes=10)

_DUE = """join unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) d(series_id, lower, upper)
  on s.series_id = d.series_id and s.at >= d.lower and s.at < d.upper
"""
# The pieces are this module's own.
_SAMPLES = f"select s.series_id, s.at, s.value from monitoring_samples s {_DUE} order by 1, 2"  # noqa: S608
_ROLLUPS = f"""
select s.series_id, s.at, s.count, s.total, s.low, s.high, s.classes from monitoring_rollups s {_DUE}
where s.width = %s order by 1, 2
"""  # noqa: S608
_UPSERT = """
insert into monitoring_rollups (width, series_id, at, count, total, low, high, p50, p95, p99, classes)
select %s, * from unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[],
  %s::float8[], %s::float8[], %s::float8[], %s::bytea[])
on conflict (width, series_id, at) do update set count = excluded.count, total = excluded.total, low = excluded.low,
  high = excluded.high, p50 = excluded.p50, p95 = excluded.p95, p99 = excluded.p99, classes = excluded.classes
"""
_SEEN = """
update monitoring_series s set last_at = greatest(s.last_at, x.at)
from unnest(%s::bigint[], %s::timestamptz[]) x(id, at) where s.id = x.id and (s.last_at is null or s.last_at < x.at)
"""

Span = tuple[int, datetime, datetime]
Row = tuple[int, datetime, Sketch]


def roll_up(width: int) -> float | None:
    """Compute the roll-ups of `width` seconds that are due. A tick; returns 0 when more is due."""
    with transaction.atomic():
        notes = list(Due.objects.filter(width=width).order_by("id")[: NOTES[width]])
        if not notes:
            return None
        spans = list(_joined((note.series_id, note.lower, note.upper) for note in notes))
        rows = _from_samples(spans) if width == 60 else _from_rollups(spans, width)
        touched = _write(width, rows)
        if width in ABOVE:
            _note(ABOVE[width], touched)
        if width == 60:
            _see(touched)
        Due.objects.filter(pk__in=[note.pk for note in notes]).delete()
    return 0 if len(notes) == NOTES[width] else None


def catch_up() -> None:
    """Roll up everything that is due, at every width: what the ticks come to in a few minutes."""
    for width in (60, *ABOVE.values()):
        while roll_up(width) is not None:
            pass


def keep_partitions() -> None:
    """Make the months that samples may fall into, and drop those that hold nothing young enough. A tick."""
    oldest = oldest_kept()
    with connection.cursor() as cursor:
        cursor.execute("select monitoring_partitions_1(%s, %s)", [oldest, clock.now() + AHEAD])
    prune(oldest)


def oldest_kept() -> datetime:
    """Return the moment before which samples and minutes are not kept."""
    return clock.now() - timedelta(days=settings.METRICS_KEEP_DAYS)


def prune(before: datetime) -> list[str]:
    """Drop the months of samples and minutes that end before that moment; return the dropped tables' names.

    Hours and days stay for ever.
    """
    last = f"{before:_%Y_%m}"
    names = "select relname from pg_class where relname ~ %s and relispartition and right(relname, 8) < %s order by 1"
    with transaction.atomic(), connection.cursor() as cursor:
        # Better to try again at the next turn than to hold up everyone who writes while a long read ends.
        cursor.execute("set local lock_timeout = '2s'")
        cursor.execute(names, [r"^monitoring_(samples|rollups_60)_\d{4}_\d{2}$", last])
        found = [name for (name,) in cursor.fetchall()]
        for name in found:
            cursor.execute(f'drop table "{name}"')
    return found


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans with those that touch or overlap made one."""
    for key, group in groupby(sorted(spans), key=lambda span: span[0]):
        low = high = None
        for _, lower, upper in group:
            if low is None or high is None:
                low, high = lower, upper
            elif lower > high:
                yield key, low, high
                low, high = lower, upper
            else:
                high = max(high, upper)
        if low is not None and high is not None:
            yield key, low, high


def _read(sql: str, spans: list[Span], *more: int) -> Iterator[tuple[Any, ...]]:
    # A cursor of the server's: a long outage may have left more than fits in memory.
    with connection.chunked_cursor() as cursor:
        cursor.cursor.itersize = ROWS
        cursor.execute(sql, [*(list(column) for column in zip(*spans, strict=True)), *more])
        yield from cursor


def _from_samples(spans: list[Span]) -> Iterator[Row]:
    rows = _read(_SAMPLES, spans)
    for (key, at), group in groupby(rows, key=lambda row: (row[0], row[1].replace(second=0, microsecond=0))):
        yield key, at, Sketch.of(value for _, _, value in group)


def _from_rollups(spans: list[Span], width: int) -> Iterator[Row]:
    rows = _read(_ROLLUPS, spans, BELOW[width])
    for (key, at), group in groupby(rows, key=lambda row: (row[0], floor(row[1], width))):
        whole = Sketch()
        for _, _, count, total, low, high, classes in group:
            whole.merge(Sketch(count, total, low, high, unpacked(classes)))
        yield key, at, whole


def _write(width: int, rows: Iterable[Row]) -> list[tuple[int, datetime]]:
    touched: list[tuple[int, datetime]] = []
    batch: list[Row] = []
    for row in rows:
        touched.append(row[:2])
        batch.append(row)
        if len(batch) == ROWS:
            _upsert(width, batch)
            batch = []
    if batch:
        _upsert(width, batch)
    return touched


def _upsert(width: int, batch: list[Row]) -> None:
    columns = zip(
        *(
            (key, at, s.count, s.total, s.low, s.high, *map(s.quantile, QUANTILES.values()), s.packed())
            for key, at, s in batch
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [width, *map(list, columns)])


def _note(width: int, touched: list[tuple[int, datetime]]) -> None:
    span = timedelta(seconds=width)
    places = sorted({(key, floor(at, width)) for key, at in touched})
    Due.objects.bulk_create(Due(width=width, series_id=key, lower=at, upper=at + span) for key, at in places)


def _see(touched: list[tuple[int, datetime]]) -> None:
    newest: dict[int, datetime] = {}
    for key, at in touched:
        newest[key] = max(at, newest.get(key, at))
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, [list(newest.keys()), list(newest.values())])
