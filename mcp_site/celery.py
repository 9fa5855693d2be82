"""The Celery app: the engine's hands. Its messages name a queue, never a step."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, worker_ready, worker_shutting_down
from django.conf import settings

from mcp_site import checks, gate

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcp_site.settings")

app = Celery("mcp_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# The bells are rung from a thread of their own: without this they would go to Celery's own default app there.
app.set_default()


@celeryd_after_setup.connect
def _learn_queues(sender: str, instance: Any, **_: Any) -> None:
    """Tell the engine which queues this worker serves, so that it goes on with their steps by itself."""
    from workflows import tasks

    checks.refuse_unsafe_start()
    tasks.serve(list(instance.app.amqp.queues))
    gate.wait()


@worker_ready.connect
def _begin(**_: Any) -> None:
    """Start the clock, and look for steps that were ready before this worker came."""
    from mcp_site.core.ticks import TickThread
    from monitoring import faults
    from workflows import tasks

    faults.begin()
    if settings.MCP_TICKS:
        TickThread().start()
    tasks.begin()


@worker_shutting_down.connect
def _hand_back(**_: Any) -> None:
    """Stop taking new steps; what runs is finished or handed back."""
    from workflows import tasks

    tasks.retire()
