"""The canary: a message that goes the way of every bell, and says on arrival that the way is open."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from celery import shared_task
from kombu.exceptions import OperationalError

from mcp_site.core import clock
from monitoring.models import Beat

logger = logging.getLogger(__name__)
# A canary that was not taken by then tells nothing any more.
EXPIRES = 60
# A broker that does not answer is waited for here, never in the thread of the ticks.
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="canary")


@shared_task(name="monitoring.canary")
def canary() -> None:
    """Note that a worker took this."""
    note("worker")


def beat() -> None:
    """Note that the clock runs, and send a canary to the workers. A tick."""
    note("clock")
    _sender.submit(_send)


def note(name: str) -> None:
    """Write down a sign of life, now."""
    Beat.objects.update_or_create(name=name, defaults={"at": clock.now()})


def _send() -> None:
    try:
        canary.apply_async(expires=EXPIRES, retry=False)
    except OperationalError:
        logger.warning("no canary was sent: the broker does not answer")
