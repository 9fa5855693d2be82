"""Sending what is queued: each message until it arrives, later ones about the same alert behind earlier ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts.models import Role, User
from mcp_site.core import clock
from mcp_site.core.errors import AppError
from mcp_site.core.sealing import unseal
from monitoring import channels
from monitoring.channels import Message, SendFailed, Sent
from monitoring.models import Alert, Channel, Delivery, Notification
from monitoring.states import DeliveryState, Happening

logger = logging.getLogger(__name__)

# Seconds before the second, third … try; after the last of them it is given up.
PAUSES = (2, 10, 60, 300, 1800, 3600, 3600, 3600)
# A try that has not ended by then died with its process, and another may begin.
TRYING = timedelta(seconds=60)
BATCH = 20
# Slow receivers wait here, never in the thread of the ticks.
_senders = ThreadPoolExecutor(max_workers=4, thread_name_prefix="alert-sender")


def deliver_in_background() -> None:
    """Hand everything that is due to the senders. A tick."""
    for delivery in _claim(clock.now()):
        _senders.submit(_send_and_close, delivery)


def deliver(now: datetime | None = None) -> int:
    """Send everything that is due, here and now; returns how many messages were tried."""
    claimed = _claim(now or clock.now())
    for delivery in claimed:
        _send(delivery)
    return len(claimed)


def send_test(channel: Channel, by: User) -> Delivery:
    """Send a test message at once, once; returns its entry in the log."""
    made = Delivery(channel=channel, happening=Happening.TEST, attempts=1)
    message = Message(
        id=str(made.uid),
        happening=Happening.TEST.value,
        at=clock.now(),
        title=f"Test of {channel.name}",
        severity="warn",
        state="open",
        text=f"{by} tried this channel. Nothing is wrong.",
        url="",
    )
    made.message, made.next_at = message.as_json(), clock.now() + TRYING
    made.save(force_insert=True)
    _send(made, again=False)
    return made


@transaction.atomic
def _claim(now: datetime) -> list[Delivery]:
    waiting = Delivery.objects.filter(state=DeliveryState.PENDING)
    earlier = waiting.filter(channel=OuterRef("channel"), alert=OuterRef("alert"), pk__lt=OuterRef("pk"))
    due = waiting.filter(~Exists(earlier), next_at__lte=now).order_by("next_at")
    found = list(due.select_for_update(of=("self",), skip_locked=True).select_related("channel", "alert")[:BATCH])
    for delivery in found:
        delivery.attempts += 1
        delivery.next_at = now + TRYING
    Delivery.objects.bulk_update(found, ["attempts", "next_at"])
    return found


def _send_and_close(delivery: Delivery) -> None:
    try:
        _send(delivery)
    except Exception:
        # The lease runs out and somebody tries again.
        logger.exception("sending %s failed", delivery.uid)
    finally:
        connection.close()


def _send(delivery: Delivery, again: bool = True) -> None:
    channel = delivery.channel
    try:
        if not channel.enabled and again:
            raise SendFailed("The channel is switched off.", permanent=True)
        kind = channels.get(channel.type)
        sent = kind.send(kind.Config.model_validate(opened(channel)), _message(delivery.message))
    except SendFailed as exc:
        _failed(delivery, str(exc), exc.permanent or not again, exc.retry_after)
        return
    except AppError as exc:
        # A secret that can't be opened.
        _failed(delivery, exc.detail, permanent=not again)
        return
    except LookupError:
        _failed(delivery, "Nothing is installed here for this type of channel.", permanent=True)
        return
    with transaction.atomic():
        _write_notifications(delivery, sent)
        delivery.state, delivery.sent_at, delivery.next_at, delivery.error = DeliveryState.SENT, clock.now(), None, ""
        delivery.save(update_fields=["state", "sent_at", "next_at", "error"])


def opened(channel: Channel) -> dict[str, Any]:
    """Return the whole config of a channel. Raises SealBroken."""
    secrets = {name: unseal(sealed, channel.seal_place(name)) for name, sealed in channel.secrets.items()}
    return {**channel.config, **secrets}


def _failed(delivery: Delivery, error: str, permanent: bool, retry_after: float | None = None) -> None:
    delivery.error = error[:500]
    if permanent or delivery.attempts > len(PAUSES):
        delivery.state, delivery.next_at = DeliveryState.FAILED, None
        logger.warning("delivery %s to channel %s failed: %s", delivery.uid, delivery.channel.slug, error)
    else:
        pause = max(PAUSES[delivery.attempts - 1], retry_after or 0)
        delivery.next_at = clock.now() + timedelta(seconds=pause)
    delivery.save(update_fields=["state", "next_at", "error"])


def _message(stored: Mapping[str, Any]) -> Message:
    return Message(**{**stored, "at": datetime.fromisoformat(stored["at"])})


def _write_notifications(delivery: Delivery, sent: Sent) -> None:
    if not sent.inbox_roles:
        return
    message = delivery.message
    Notification.objects.bulk_create(
        Notification(
            person=person,
            alert=delivery.alert,
            happening=delivery.happening,
            severity=message["severity"],
            title=message["title"][:300],
            text=message["text"][:1000],
        )
        for person in _people(sent.inbox_roles)
        if delivery.alert is None or Alert.objects.visible_to(person).filter(pk=delivery.alert.pk).exists()
    )


def _people(roles: tuple[str, ...]) -> list[User]:
    people = User.objects.filter(is_active=True).prefetch_related("groups")
    return [person for person in people if Role(person.role) in roles]
