"""Whether the panel can do its work, and whether it does it well: degraded is not down."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import redis
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection
from kombu.exceptions import OperationalError

from mcp_site.core import clock
from mcp_site.core.ids import uuid7
from monitoring.models import Beat

GIB = 1024**3
# Less than both is too little to go on writing.
MIN_FREE, MIN_SHARE = 1 * GIB, 0.05
# Seconds: leases and schedules are the database's to time, but what we write down is not.
MAX_SKEW = 2.0
# Ticks beat every 15 s and send a canary to the workers each time.
MAX_SILENCE = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is well, how long it took, and what to say of it."""

    name: str
    ok: bool
    ms: float
    detail: str = ""
    # Whether the panel can't go on without it; what is not vital degrades only.
    vital: bool = True


class Unwell(Exception):
    """Something answers, but not as it should; the text says what."""


def _timed(name: str, look: Callable[[], str], vital: bool = True) -> Check:
    started = time.monotonic()
    try:
        detail, ok = look(), True
    except Unwell as exc:
        detail, ok = str(exc), False
    except (DatabaseError, redis.RedisError, OSError, OperationalError) as exc:
        # The type only: messages of drivers name hosts and users.
        detail, ok = type(exc).__name__, False
    return Check(name, ok, round((time.monotonic() - started) * 1000, 1), detail, vital)


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return ""


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    open_ones = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if open_ones:
        raise DatabaseError(f"{len(open_ones)} migrations are not applied")
    return ""


def _redis() -> str:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    with client:
        client.ping()
    return ""


def _broker() -> str:
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "socket_timeout": 2, "socket_connect_timeout": 2}
    with Connection(settings.CELERY_BROKER_URL, connect_timeout=2, transport_options=options) as broker:
        broker.ensure_connection(max_retries=1, timeout=3)
    return ""


def _cache() -> str:
    key = f"health:{uuid7()}"
    cache.set(key, 1, 10)
    if cache.get(key) != 1:
        raise Unwell("what was written is not there")
    cache.delete(key)
    return ""


def _disk() -> str:
    usage = shutil.disk_usage(settings.MCP_DATA_DIR if settings.MCP_DATA_DIR.exists() else settings.BASE_DIR)
    said = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f}"
    if usage.free < min(MIN_FREE, usage.total * MIN_SHARE):
        raise Unwell(said)
    return said


def _clock_skew() -> str:
    before = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        there: datetime = cursor.fetchone()[0]
    after = clock.now()
    off = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    if off > MAX_SKEW:
        raise Unwell(f"{off:.1f} s off the database's clock")
    return ""


def _beat(name: str, silent: str) -> Callable[[], str]:
    def look() -> str:
        last = Beat.objects.filter(name=name).values_list("at", flat=True).first()
        age = (clock.now() - last).total_seconds() if last is not None else None
        if age is None or age > MAX_SILENCE:
            raise Unwell(silent if age is None else f"{silent}, the last sign {age:.0f} s ago")
        return f"{max(0.0, age):.0f} s ago"

    return look


def checks() -> list[Check]:
    """Look at everything that the panel needs to take requests and start runs."""
    found = [_timed("database", _database)]
    if found[0].ok:
        found.append(_timed("migrations", _migrations))
    return [*found, _timed("redis", _redis), _timed("broker", _broker)]


def all_checks() -> list[Check]:
    """Look at that, and at what the panel needs to do its work well."""
    found = [*checks(), _timed("cache", _cache, vital=False), _timed("disk", _disk, vital=False)]
    if all(check.ok for check in found if check.name in ("database", "migrations")):
        found += [
            _timed("clock_skew", _clock_skew, vital=False),
            _timed("ticks", _beat("clock", "no clock runs"), vital=False),
            _timed("workers", _beat("worker", "no worker takes messages"), vital=False),
        ]
    return found


def verdict(found: list[Check]) -> str:
    """Return `ok`, `degraded` (something that is not vital fails) or `unavailable`."""
    if not all(check.ok for check in found if check.vital):
        return "unavailable"
    return "ok" if all(check.ok for check in found) else "degraded"
