"""Measure metrics on a private PostgreSQL: ingest beside plain COPY, and a 90-day p95 over 1,000,000 samples.

`python -m bench.metrics` prints medians with least and greatest; nothing is asserted.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SERIES, DAYS, CALL = 10, 90, 5000


def show(name: str, values: list[float], unit: str) -> None:
    """Print one row."""
    print(f"{name:<58} {statistics.median(values):11.1f} {min(values):11.1f} {max(values):11.1f}  {unit}", flush=True)


def timed(work: Callable[[], Any], times: int) -> list[float]:
    """Return the milliseconds of `work`, `times` times after one to warm up."""
    work()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append((time.perf_counter() - started) * 1000)
    return found


def samples_of(count: int, end: datetime) -> list[dict[str, Any]]:
    """Return samples of ten models, evenly over the last 90 days, with latencies as models have them."""
    dice = random.Random(1)
    step = timedelta(days=DAYS) / count
    return [
        {
            "name": "model.latency_ms",
            "value": round(dice.lognormvariate(5, 0.6), 3),
            "tags": {"model": f"model-{n % SERIES}"},
            "at": (end - step * (count - n)).isoformat(),
        }
        for n in range(count)
    ]


def plain_copy(calls: list[list[dict[str, Any]]]) -> list[float]:
    """Return samples a second of COPY alone: the same rows and index, one transaction a call, nothing else."""
    from django.db import connection

    rates = []
    with connection.cursor() as cursor:
        cursor.execute("create table bench_samples (like monitoring_samples)")
        cursor.execute("create index on bench_samples (series_id, at)")
        for call in calls:
            text = "".join(f"{int(s['tags']['model'][6:])}\t{s['at']}\t{s['value']!r}\t\\N\n" for s in call)
            started = time.perf_counter()
            with cursor.copy("copy bench_samples (series_id, at, value, extra) from stdin") as target:
                target.write(text)
            rates.append(len(call) / (time.perf_counter() - started))
        cursor.execute("drop table bench_samples")
    return rates


def through_the_api(calls: list[list[dict[str, Any]]], client: Any) -> list[float]:
    """Return samples a second through the whole API in this process: parsing, checks, series, COPY, commit."""
    rates = []
    for call in calls:
        body = json.dumps({"samples": call})
        started = time.perf_counter()
        answer = client.post("/metrics/batch", data=body, content_type="application/json")
        rates.append(len(call) / (time.perf_counter() - started))
        if answer.status_code != 201:
            raise SystemExit(answer.content.decode())
    return rates


def measure(count: int, times: int) -> None:
    """Store, roll up, read; print."""
    from django.core.management import call_command
    from django.db import connection
    from rest_framework.test import APIClient

    from accounts.models import User
    from mcp_site.core import clock
    from monitoring import rollups, series
    from monitoring.models import Series

    call_command("migrate", verbosity=0)
    client = APIClient(SERVER_NAME="localhost")
    client.force_authenticate(User.objects.create_superuser("bench@example.com", "a password for the bench"))
    end = clock.now() - timedelta(minutes=1)
    samples = samples_of(count, end)
    calls = [samples[n : n + CALL] for n in range(0, count, CALL)]
    print(f"Python {platform.python_version()}, {count:,} samples of {SERIES} series over {DAYS} days, {CALL} a call")
    print(f"{'':<58} {'median':>11} {'min':>11} {'max':>11}")
    plain, whole = plain_copy(calls[: 4 * times]), through_the_api(calls, client)
    show("plain COPY with the same index", plain, "samples/s")
    show("POST /metrics/batch", whole, "samples/s")
    print(f"{'the API against plain COPY':<58} {statistics.median(whole) / statistics.median(plain):11.2f}")
    started = time.perf_counter()
    rollups.catch_up()
    print(f"{'roll up all of it: minutes, hours, days':<58} {time.perf_counter() - started:11.1f} s")
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    keys = list(Series.objects.values_list("pk", flat=True))
    start = end - timedelta(days=DAYS)
    for label, hours in (("hour", 1), ("6 hours", 6), ("day", 24)):
        for chosen in (keys[:1], keys):
            work = lambda chosen=chosen, hours=hours: series.points(chosen, start, end, hours * 3600, "p95")  # noqa: E731
            show(f"p95 of {DAYS} days by {label}, {len(chosen)} series, query", timed(work, times), "ms")
    query = {"name": "model.latency_ms", "aggregate": "p95", "from": start.isoformat()}
    show(
        f"GET /metrics/series of {DAYS} days, p95, {SERIES} series",
        timed(lambda: client.get("/metrics/series", query), times),
        "ms",
    )


def main() -> None:
    """Start the servers, measure, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics", description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=7, help="measures of each (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcp-bench-") as folder:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "mcp_site.settings", "MCP_DATA_DIR": folder, "MCP_LOCAL": "1"}
        os.environ |= {"RATE_READ": "0", "RATE_WRITE": "0", "SECRET_KEY": secrets.token_urlsafe(50)}
        os.environ["MCP_SECRET_KEYS"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        from mcp_site.up import servers

        with servers.running(Path(folder), database=True, redis=True) as running:
            os.environ.update(running.environment)
            import django

            django.setup()
            measure(options.samples, options.repeat)


if __name__ == "__main__":
    main()
