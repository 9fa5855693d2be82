"""Celery's names for the engine's work."""

from __future__ import annotations

from celery import shared_task

from workflows import executors
from workflows.engine import worker


@shared_task(name="workflows.work", ignore_result=True)
def work(queue: str) -> None:
    """Answer a bell: carry out what is ready in `queue`. Safe to get twice, late, or never."""
    worker.current().work(queue)


def serve(queues: list[str]) -> None:
    """Tell the worker which queues it serves, so that it goes on with their steps without a bell."""
    worker.current().queues = queues


def begin() -> None:
    """Ring for the queues that the worker serves: what was ready before it came needs no bell of its own."""
    executors.get("celery").ring(worker.current().queues)


def retire() -> None:
    """Have the worker take nothing more and hand back what it can't finish."""
    worker.current().retire()
