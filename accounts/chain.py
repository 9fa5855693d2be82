"""Seals the audit trail: a hash per event over all that came before it, so that tampering is found and placed.

Writers of events never wait for each other here: events are linked after their commit, by one sealer at a time.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts.models import AuditEvent, AuditLink
from mcp_site.core.documents import canonical

logger = logging.getLogger(__name__)

# What the first link follows.
START = "0" * 64
BATCH = 1000
# The advisory lock of whoever seals.
_LOCK = 0x6D63705F7365616C
_HEAD_EVERY = 60.0

# Statements that add an event hold this lock from before they take a number until their transaction ends.
_WRITERS = """
select virtualtransaction from pg_locks where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database())
  and relation = 'accounts_audit_events'::regclass
"""
_LAST_NUMBER = (
    "select coalesce(pg_sequence_last_value(pg_get_serial_sequence('accounts_audit_events', 'id')::regclass), 0)"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: `checked` links are right; `first_broken` is the number of the first that is not."""

    valid: bool
    checked: int
    first_broken: int | None
    head: str


@dataclass(slots=True)
class _Floor:
    """Up to which event nothing can be left to seal, so that a tick never reads the whole trail.

    `at` is settled. `next` will be once the transactions in `writers`, which may still commit a number up to it, are
    over. Each process finds out by itself, starting from nothing: too low a floor costs time and nothing else.
    """

    at: int = 0
    next: int = 0
    writers: frozenset[str] = frozenset()

    def look(self) -> _Floor:
        """Return the floor that holds once what is visible after this call has been sealed."""
        with connection.cursor() as cursor:
            # The number first: who took one up to it is among the writers, or has ended and is visible.
            cursor.execute(_LAST_NUMBER)
            last: int = cursor.fetchone()[0]
            cursor.execute(_WRITERS)
            writers = frozenset(row[0] for row in cursor.fetchall())
        if last < self.at:
            # Another database stands here now, such as a restored one.
            return _Floor()
        if not writers:
            return _Floor(last, last)
        if self.writers & writers:
            return _Floor(self.at, self.next, self.writers)
        return _Floor(self.next, last, writers)


_floor = _Floor()
_head_logged_at = 0.0


def digest(previous: str, event: AuditEvent) -> str:
    """Return the hash of the link of `event` (as the database has it) that follows the hash `previous`."""
    fields = {
        "id": event.pk,
        "at": event.at.astimezone(UTC).isoformat(),
        "actor": event.actor_id,
        "actor_kind": event.actor_kind,
        "action": event.action,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "object_name": event.object_name,
        "changes": event.changes,
        "request_id": event.request_id,
        "address": event.address,
    }
    if event.key:
        # Only where there is one: events of before the column keep their hashes.
        fields["key"] = event.key
    return hashlib.sha256(previous.encode() + canonical(fields)).hexdigest()


def seal(*, everything: bool = False) -> int:
    """Link every committed event that has no link yet; return how many.

    An event that commits after one with a higher id is linked after it. `everything` also looks where this process
    knows that nothing can be left, which matters only after a link was taken away.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        before = _floor
        found = before.look()
        last = AuditLink.objects.order_by("-number").first()
        number, head = (last.number, last.hash) if last else (0, START)
        first = number
        for events in _unsealed(0 if everything or found.at < before.at else before.at):
            links = []
            for event in events:
                number, head = number + 1, digest(head, event)
                links.append(AuditLink(number=number, event=event, hash=head))
            AuditLink.objects.bulk_create(links)
        transaction.on_commit(lambda: _settle(found))
    return number - first


def _settle(found: _Floor) -> None:
    global _floor
    _floor = found


def _unsealed(after: int) -> Iterator[list[AuditEvent]]:
    while True:
        linked = AuditLink.objects.filter(event=OuterRef("pk"), event__gt=after)
        events = list(AuditEvent.objects.filter(~Exists(linked), pk__gt=after).order_by("pk")[:BATCH])
        if events:
            yield events
        if len(events) < BATCH:
            return
        after = events[-1].pk


def verify() -> Verdict:
    """Seal, then compute the chain anew from its start: changed and lost events, lost and wrong links are found."""
    seal(everything=True)
    number, head = 0, START
    while links := list(AuditLink.objects.filter(number__gt=number).order_by("number")[:BATCH]):
        events = AuditEvent.objects.in_bulk([link.event_id for link in links])
        for link in links:
            event = events.get(link.event_id)
            if link.number != number + 1 or event is None or link.hash != digest(head, event):
                return Verdict(False, number, number + 1, head)
            number, head = link.number, link.hash
    return Verdict(True, number, None, head)


def tick() -> None:
    """Seal what was committed since the last call; once a minute, write the head to the log."""
    global _head_logged_at
    seal()
    if time.monotonic() - _head_logged_at < _HEAD_EVERY:
        return
    _head_logged_at = time.monotonic()
    last = AuditLink.objects.order_by("-number").first()
    if last is not None:
        logger.info("audit chain: link %d has the hash %s", last.number, last.hash)
