"""Whether the panel can do its work: database, migrations, broker, workers' and clocks' signs of life."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: whether it is well, how long it took, and what to say of it."""

    name: str
    ok: bool
    ms: float
    detail: str = ""


def _timed(name: str, look: Callable[[], str]) -> Check:
    started = time.monotonic()
    try:
        detail, ok = look(), True
    except (DatabaseError, redis.RedisError, OSError) as exc:
        # The type only: messages of drivers name hosts and users.
        detail, ok = type(exc).__name__, False
    return Check(name, ok, round((time.monotonic() - started) * 1000, 1), detail)


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


def checks() -> list[Check]:
    """Look at everything that the panel needs to take requests and start runs."""
    found = [_timed("database", _database)]
    if found[0].ok:
        found.append(_timed("migrations", _migrations))
    found.append(_timed("redis", _redis))
    return found
