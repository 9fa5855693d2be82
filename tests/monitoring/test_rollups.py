"""Roll-ups: what is due is computed anew from what lies under it, late samples and all; old months go as a whole."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from mcp_site.core import clock, ticks
from monitoring import rollups, series
from monitoring.models import Due, Rollup, Sample, Series
from monitoring.series import Identity, Measured

X = Identity("x", {"host": "a"})


def _minute(back: int = 30) -> datetime:
    return clock.now().replace(second=0, microsecond=0) - timedelta(minutes=back)


def _rows(width: int) -> list[tuple[datetime, int, float]]:
    return list(Rollup.objects.filter(width=width).order_by("series_id", "at").values_list("at", "count", "total"))


@pytest.mark.django_db
def test_samples_become_minutes_hours_and_days() -> None:
    day = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    at = [day + timedelta(hours=h, minutes=m, seconds=s) for h in (3, 5) for m in (0, 59) for s in (0, 59)]
    series.store([Measured(X, moment, 2.0) for moment in at])

    rollups.catch_up()

    assert [(count, total) for _, count, total in _rows(60)] == [(2, 4.0)] * 4
    assert _rows(3600) == [(day + timedelta(hours=h), 4, 8.0) for h in (3, 5)]
    assert _rows(86400) == [(day, 8, 16.0)]
    assert not Due.objects.exists()
    assert Series.objects.get().last_at == day + timedelta(hours=5, minutes=59)


@pytest.mark.django_db
def test_a_late_sample_is_counted_once_in_every_width() -> None:
    at = _minute()
    for value in (1.0, 5.0, 3.0):
        series.store([Measured(X, at, value)])
        rollups.catch_up()
        rollups.catch_up()

    assert [(count, total) for width in (60, 3600, 86400) for _, count, total in _rows(width)] == [(3, 9.0)] * 3


@pytest.mark.django_db
def test_only_what_is_due_is_computed() -> None:
    at = _minute()
    series.store([Measured(X, at, 1.0), Measured(X, at - timedelta(minutes=5), 1.0)])
    rollups.roll_up(60)
    Rollup.objects.filter(width=60, at=at - timedelta(minutes=5)).update(total=99.0)

    series.store([Measured(X, at, 1.0)])
    rollups.roll_up(60)

    assert [total for _, _, total in _rows(60)] == [99.0, 2.0]


@pytest.mark.django_db
def test_more_notes_than_one_turn_takes_are_worked_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rollups.NOTES, 60, 3)
    monkeypatch.setattr(rollups, "ROWS", 2)
    for n in range(8):
        series.store([Measured(X, _minute(n + 1), float(n))])

    assert [rollups.roll_up(60) for _ in range(4)] == [0, 0, None, None]
    assert len(_rows(60)) == 8


@pytest.mark.django_db(transaction=True)
def test_no_sample_is_lost_while_others_roll_up() -> None:
    """Writers that commit at any moment, two of them making the same series, against a clock that never rests."""
    at, each, writers = _minute(), 40, 3
    done = threading.Event()

    def write(number: int) -> None:
        for n in range(each):
            with transaction.atomic():
                series.store([Measured(Identity("x", {"n": n % 5}), at + timedelta(seconds=n), 1.0)])
        connection.close()

    def roll() -> None:
        while not done.is_set():
            for name in ("monitoring.minutes", "monitoring.hours", "monitoring.days"):
                ticks.run_once(name)
        connection.close()

    threads = [threading.Thread(target=write, args=[n]) for n in range(writers)]
    clocks = [threading.Thread(target=roll) for _ in range(2)]
    for thread in [*threads, *clocks]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    for thread in clocks:
        thread.join()
    rollups.catch_up()

    assert Sample.objects.count() == each * writers
    for width in (60, 3600, 86400):
        assert sum(count for _, count, _ in _rows(width)) == each * writers


def _partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where relispartition and relname ~ 'samples_\\d|rollups_60_\\d'")
        return {name for (name,) in cursor.fetchall() if not name.endswith(("_idx", "_pkey"))}


@pytest.mark.django_db
def test_months_are_made_ahead_and_dropped_when_all_in_them_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2031, 3, 15, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: now)

    rollups.keep_partitions()

    # 100 days before and 62 after.
    months = ("2030_12", "2031_01", "2031_02", "2031_03", "2031_04", "2031_05")
    assert _partitions() == {
        f"{name}_{month}" for name in ("monitoring_samples", "monitoring_rollups_60") for month in months
    }
    series.store([Measured(X, moment, 1.0) for moment in (rollups.oldest_kept(), now + rollups.EARLY)])


@pytest.mark.django_db
def test_what_is_dropped_stays_in_hours_and_days(settings: Any) -> None:
    at = _minute() - timedelta(days=70)
    series.store([Measured(X, at, 1.0)])
    rollups.catch_up()

    rollups.prune(clock.now())

    assert (len(_rows(60)), len(_rows(3600)), len(_rows(86400))) == (0, 1, 1)
    assert not Sample.objects.exists()
