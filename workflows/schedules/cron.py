"""When a schedule is due: five fields of cron on the clock of a time zone, daylight saving included. Pure.

The rule where the clock jumps (as in the cron of most systems):
* an hour field that begins with `*` counts real time: the skipped hour has no times, the repeated one has them twice;
* an hour field that names hours means each of them once a day: a time that the clock skips comes as much later as the
  clock jumped, and one that it shows twice comes at the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

MAX_CRON = 200
_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
# Digits, names, and what joins them; none of the dialects' `L`, `W`, `#`, `?`, `H`, `R`.
_FIELD = re.compile(rf"(?:[0-9*,/-]|{_NAMES})+", re.IGNORECASE)
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# No clock has jumped further since 1970, whole days that islands left out at the date line apart.
_JUMP = timedelta(hours=3)
# Between two 29ths of February lie at most eight years.
_YEARS = 9


class BadCron(ValueError):
    """No cron expression of ours; the message says why."""


class BadZone(ValueError):
    """No time zone that is known here; write one such as Europe/Berlin or UTC."""

    def __str__(self) -> str:
        return " ".join((type(self).__doc__ or "").split())


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression on the clock of a zone."""

    text: str
    zone: ZoneInfo

    @property
    def counts_real_time(self) -> bool:
        """Tell whether the hour field begins with `*`."""
        return self.text.split()[1].startswith("*")


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Return the names of the time zones that are known here."""
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


@lru_cache(maxsize=1024)
def parse(text: str, timezone: str) -> Cron:
    """Check a cron expression and a time zone. Raises BadCron, BadZone."""
    if timezone not in zones():
        raise BadZone
    plain = " ".join(_SHORT.get(text.strip().lower(), text).split())
    fields = plain.split()
    if len(plain) > MAX_CRON or len(fields) != 5:
        raise BadCron("write five fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly")
    strange = next((field for field in fields if not _FIELD.fullmatch(field)), None)
    if strange is not None:
        raise BadCron("use numbers, *, ranges (1-5), lists (1,15), steps (*/10) and names (mon, jan)")
    cron = Cron(plain, ZoneInfo(timezone))
    try:
        next(_wall_times(cron, datetime(2000, 1, 1)))  # noqa: DTZ001  the wall clock
    except (CroniterBadCronError, ValueError) as exc:
        raise BadCron("a field is out of its range") from exc
    except StopIteration as exc:
        raise BadCron("no day ever fits this") from exc
    return cron


def times(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Return the moments (UTC) at which `cron` is due, ascending, the first later than `after`."""
    return _real_times(cron, after) if cron.counts_real_time else _daily_times(cron, after)


def first(cron: Cron, after: datetime) -> datetime | None:
    """Return the first moment later than `after`, None where there is none in the years that count."""
    return next(times(cron, after), None)


def _wall_times(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Return what the clock on the wall shows when `cron` is due: naive, later than `after`."""
    found = croniter(cron.text, after, max_years_between_matches=_YEARS)
    while True:
        try:
            yield found.get_next(datetime)
        except CroniterBadDateError:
            return


def _wall(cron: Cron, moment: datetime) -> datetime:
    return moment.astimezone(cron.zone).replace(tzinfo=None, fold=0)


def _daily_times(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Each wall time once. Python reads a skipped time with the offset of before: as much later as the clock jumped."""
    waiting: list[datetime] = []
    for wall in _wall_times(cron, _wall(cron, after) - _JUMP):
        # A later time on the wall may come sooner only around a jump.
        while waiting and wall.replace(tzinfo=cron.zone).astimezone(UTC) - waiting[0] > _JUMP:
            yield waiting.pop(0)
        moment = wall.replace(tzinfo=cron.zone).astimezone(UTC)
        if moment > after and moment not in waiting:
            waiting.append(moment)
            waiting.sort()
    yield from waiting


def _real_times(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Follow the clock with its offset of now up to the moment at which the offset changes, and on from there."""
    since, begin = after, _wall(cron, after)
    offset = _offset(cron.zone, after)
    while True:
        changed = None
        for wall in _wall_times(cron, begin):
            moment = (wall - offset).replace(tzinfo=UTC)
            changed = _change(cron.zone, since, moment)
            if changed is not None:
                break
            since = moment
            yield moment
        if changed is None:
            return
        since, offset = changed, _offset(cron.zone, changed)
        # A time at the very moment of the change counts, by the new offset.
        begin = _wall(cron, changed) - timedelta(seconds=1)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(zone: ZoneInfo, since: datetime, until: datetime) -> datetime | None:
    """Return the first moment after `since` and up to `until` at which the offset differs, to the second; or None."""
    before = _offset(zone, since)
    low, step = since, timedelta(days=1)
    while low < until:
        high = min(low + step, until)
        if _offset(zone, high) != before:
            return _between(zone, low, high)
        low = high
    return None


def _between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
