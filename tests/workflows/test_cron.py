"""Due times on the clocks of the world, the days on which they jump included. Expectations are worked out by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.schedules import cron

BERLIN, NEW_YORK, HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def due(text: str, zone: str, after: str, count: int) -> list[str]:
    """Return the next due times in UTC as text without seconds."""
    found = cron.times(cron.parse(text, zone), datetime.fromisoformat(after).replace(tzinfo=UTC))
    return [moment.strftime("%m-%d %H:%M") for moment in itertools.islice(found, count)]


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        ("*/15 * * * *", "UTC", "2026-05-01T10:07", ["05-01 10:15", "05-01 10:30"]),
        # A time that is now is past.
        ("30 10 * * *", "UTC", "2026-05-01T10:30", ["05-02 10:30"]),
        ("0 9 * * mon-fri", BERLIN, "2026-05-01T12:00", ["05-04 07:00", "05-05 07:00"]),
        # A day of month and a day of week: either.
        ("0 0 13 * fri", "UTC", "2026-01-01T00:00", ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29 00:00"]),
        ("@daily", NEW_YORK, "2026-07-01T00:00", ["07-01 04:00"]),
        # Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC. Half past two comes at half past three.
        ("30 2 * * *", BERLIN, "2026-03-27T12:00", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
        # Times of before and after the jump stay in order, and one that falls on another is one.
        ("0,30 2,3 * * *", BERLIN, "2026-03-28T12:00", ["03-29 01:00", "03-29 01:30", "03-30 00:00"]),
        # 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC. Half past two comes once, at the first.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 2 * * *", BERLIN, "2026-10-25T00:30", ["10-26 01:30"]),
        # Real time goes on: no hour is left out or waited for twice.
        ("30 * * * *", BERLIN, "2026-03-29T00:00", ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
        ("30 * * * *", BERLIN, "2026-10-24T23:50", ["10-25 00:30", "10-25 01:30", "10-25 02:30"]),
        ("0 * * * *", BERLIN, "2026-10-25T00:30", ["10-25 01:00", "10-25 02:00"]),
        ("0 * * * *", BERLIN, "2026-03-29T00:30", ["03-29 01:00", "03-29 02:00"]),
        # Lord Howe Island jumps by half an hour: 5 April 2026, 02:00 becomes 01:30 at 15:00 UTC of the 4th.
        ("45 * * * *", HOWE, "2026-04-04T14:00", ["04-04 14:45", "04-04 15:15", "04-04 16:15"]),
        ("45 1 * * *", HOWE, "2026-04-04T12:00", ["04-04 14:45", "04-05 15:15"]),
    ],
)
def test_due_times(text: str, zone: str, after: str, expected: list[str]) -> None:
    assert due(text, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1-2 * * * *",
        "a * * * *",
        "jan * * * *",
        "H * * * *",
        "R * * * *",
        "0 0 L * *",
        "0 0 * * mon#1",
        "0 0 ? * *",
        "@reboot",
        "0 0 30 2 *",
        "0,0," * 60 + "0 * * * *",
        "\u0661 * * * *",
    ],
)
def test_what_is_no_cron_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(cron.BadCron, match=r"\w"):
        cron.parse(text, "UTC")


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "europe/berlin"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(cron.BadZone, match="Europe/Berlin"):
        cron.parse("0 0 * * *", zone)


_FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/7", "15,45", "59", "10-20/5"]),
    st.sampled_from(["*", "*/2", "*/5", "0", "1", "2", "3", "1-3", "23", "0-6/2", "9-17"]),
    st.sampled_from(["*", "1", "13", "30", "*/9"]),
    st.sampled_from(["*", "3", "10-11", "apr"]),
    st.sampled_from(["*", "sun", "1-5", "7"]),
)
_ZONES = st.sampled_from([BERLIN, NEW_YORK, HOWE, "UTC", "Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns"])
_MOMENTS = st.integers(1_704_067_200, 1_924_905_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@settings(max_examples=60, deadline=None)
@given(_FIELDS, _ZONES, _MOMENTS)
def test_times_ascend_lie_after_the_start_and_do_not_depend_on_where_one_begins(
    fields: tuple[str, ...], zone: str, after: datetime
) -> None:
    checked = cron.parse(" ".join(fields), zone)

    found = list(itertools.islice(cron.times(checked, after), 12))

    assert all(one < two for one, two in itertools.pairwise([after, *found]))
    assert all(moment.second == moment.microsecond == 0 for moment in found)
    for one, two in itertools.pairwise(found):
        assert cron.first(checked, one) == two
        assert cron.first(checked, two - timedelta(seconds=1)) == two


@settings(max_examples=25, deadline=None)
@given(_FIELDS, _ZONES, _MOMENTS)
def test_no_minute_that_fits_is_left_out(fields: tuple[str, ...], zone: str, after: datetime) -> None:
    """Walk two days minute by minute with the plain rule; jumps of the clock aside, both agree."""
    checked = cron.parse(" ".join(fields), zone)
    minutes, hours = (_numbers(field, top) for field, top in zip(fields[:2], (60, 24), strict=True))
    if fields[2:] != ("*", "*", "*"):
        checked = cron.parse(" ".join((*fields[:2], "*", "*", "*")), zone)
    start = after.replace(second=0, microsecond=0)
    walls = [(start + timedelta(minutes=n)) for n in range(1, 48 * 60)]
    if len({moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in [start - timedelta(hours=4), *walls]}) > 1:
        return

    plain = [
        moment
        for moment in walls
        if (local := moment.astimezone(ZoneInfo(zone))).minute in minutes and local.hour in hours
    ]
    found = itertools.takewhile(lambda moment: moment <= walls[-1], cron.times(checked, start))

    assert list(found) == plain


def _numbers(field: str, top: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"0-{top - 1}" if span == "*" else span).partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found
