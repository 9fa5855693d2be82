"""Writing samples: one COPY for any number of them, and a note of what has to be rolled up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from monitoring.models import Due
from monitoring.series.identity import Identity, find_or_make

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One value of one series at one moment; `extra` is kept beside it."""

    series: Identity
    at: datetime
    value: float
    extra: Mapping[str, Any] | None = None


@transaction.atomic
def store(measured: Sequence[Measured]) -> int:
    """Write samples, whose values are finite. Returns how many. Raises TooManySeries.

    What is due is noted in the same transaction, so that whoever sees the note sees the samples.
    """
    if not measured:
        return 0
    # Callers share one identity between the samples of a series, so that it is hashed once.
    digests = {id(one.series): one.series for one in measured}
    by_object = {key: identity.digest() for key, identity in digests.items()}
    keys = find_or_make(digests.values())
    by_series = {key: keys[digest] for key, digest in by_object.items()}
    spans: dict[tuple[int, datetime], tuple[datetime, datetime]] = {}
    lines = []
    for one in measured:
        key, at = by_series[id(one.series)], one.at
        lines.append(f"{key}\t{at.isoformat()}\t{one.value!r}\t{_extra(one.extra)}\n")
        # A note spans a day at most: a sample of today and one of last year cost two days' work, not a year's.
        place = (key, at.replace(hour=0, minute=0, second=0, microsecond=0))
        low, high = spans.get(place, (at, at))
        spans[place] = (min(low, at), max(high, at))
    with connection.cursor() as cursor:
        copy = "copy monitoring_samples (series_id, at, value, extra) from stdin"
        with cursor.copy(copy) as target:
            target.write("".join(lines))
    Due.objects.bulk_create(
        Due(width=60, series_id=key, lower=_minute(low), upper=_minute(high) + MINUTE)
        for (key, _), (low, high) in spans.items()
    )
    return len(measured)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _extra(extra: Mapping[str, Any] | None) -> str:
    if not extra:
        return "\\N"
    text = json.dumps(extra, ensure_ascii=False)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
