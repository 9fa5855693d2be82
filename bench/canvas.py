"""The Celery canvas that the engine is measured beside: the same broker, nothing durable."""

from __future__ import annotations

import os
import time

from celery import Celery, chain, chord, group

url = os.environ["BENCH_REDIS"]
app = Celery(
    "canvas", broker=url.replace("unix://", "redis+socket://"), backend=url.replace("unix://", "redis+socket://")
)
app.conf.update(worker_prefetch_multiplier=1, task_acks_late=True, result_expires=600, task_default_queue="canvas")
app.conf.broker_transport_options = {"socket_timeout": None, "global_keyprefix": "canvas:"}
app.conf.result_backend_transport_options = {"global_keyprefix": "canvas:"}


@app.task
def step(value: object = None) -> dict[str, str]:
    """Do nothing and pass a small JSON on."""
    return {"text": "[dry run]"}


def chain_of(length: int) -> float:
    """Return the seconds of a chain from its send to its result."""
    started = time.perf_counter()
    chain(step.si(), *(step.s() for _ in range(length - 1)))().get(timeout=60)
    return time.perf_counter() - started


def fan_of(width: int) -> float:
    """Return the seconds of 1 → width → 1."""
    started = time.perf_counter()
    chain(step.si(), chord(group(step.si() for _ in range(width)), step.s()))().get(timeout=60)
    return time.perf_counter() - started
