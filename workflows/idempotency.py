"""Where answers under an Idempotency-Key are kept: in the transaction of what they answer.

So both stand or fall: a process that dies in between leaves neither, and the key is free for another try. An advisory
lock of the transaction tells that the first request is still in flight; nobody waits on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

from django.db import connection, transaction

from mcp_site.core import clock
from mcp_site.core.once import Answer, Asked, InProgress, KeyReused, Slot
from workflows.models import KeptAnswer

KEPT_FOR = timedelta(hours=24)
# Rows deleted by one call of `prune`: short transactions.
PRUNED_AT_ONCE = 5000


def _lock(request: Asked) -> None:
    name = f"once\n{request.caller}\n{request.route}\n{request.key}".encode()
    number = int.from_bytes(sha256(name).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise InProgress


@contextmanager
def open_slot(request: Asked) -> Iterator[Slot]:
    """Open the transaction in which `request` is answered, and keep the answer that the slot then holds.

    Raises InProgress, KeyReused.
    """
    with transaction.atomic():
        _lock(request)
        mine = KeptAnswer.objects.filter(caller=request.caller, route=request.route, key=request.key)
        row = mine.first()
        if row is not None and row.at <= clock.now() - KEPT_FOR:
            mine.delete()
            row = None
        if row is not None and row.digest != request.digest:
            raise KeyReused
        slot = Slot(Answer(row.status, row.body, row.location, row.made) if row is not None else None)
        yield slot
        if slot.after is not None:
            KeptAnswer.objects.create(
                caller_id=request.caller,
                route=request.route,
                key=request.key,
                digest=request.digest,
                status=slot.after.status,
                body=slot.after.body,
                location=slot.after.location,
                made=slot.after.made,
            )


def prune() -> None:
    """Delete answers that are older than a day. A tick."""
    old = KeptAnswer.objects.filter(at__lte=clock.now() - KEPT_FOR).order_by("at")
    KeptAnswer.objects.filter(pk__in=old.values("pk")[:PRUNED_AT_ONCE]).delete()
