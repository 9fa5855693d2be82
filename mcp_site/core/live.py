"""Telling watchers in other processes that something was committed: Redis publish and subscribe.

Only `workflows.events` calls this module. What is published is a hint: a watcher that misses a message reads
the rows. Sending is done by one background thread per process, so that no worker waits for Redis; receiving by
one shared subscription per process, however many watchers there are.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis
import redis.asyncio
from django.conf import settings

logger = logging.getLogger(__name__)

# A watcher that is this many messages behind is told to read the rows instead.
BACKLOG = 256
_RETRY_SECONDS = 0.5


def _channel(name: str) -> str:
    return f"{settings.REDIS_PREFIX}:live:{name}"


class _Publisher(threading.Thread):
    """Sends what is handed to it, in order, in one round trip for all that is waiting."""

    def __init__(self) -> None:
        super().__init__(name="live-publisher", daemon=True)
        self.waiting: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def run(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5)
        while True:
            batch = [self.waiting.get()]
            while not self.waiting.empty() and len(batch) < 256:
                batch.append(self.waiting.get())
            try:
                pipe = client.pipeline(transaction=False)
                for channel, text in batch:
                    pipe.publish(channel, text)
                pipe.execute()
            except redis.RedisError:
                # Lost on purpose: watchers read the rows at their next look.
                logger.warning("live: Redis did not take %d messages; watchers will read the rows", len(batch))


_lock = threading.Lock()
_publisher: _Publisher | None = None


def publish(name: str, text: str) -> None:
    """Send `text` to whoever watches `name`, soon, without waiting. Never raises for Redis' sake."""
    global _publisher
    if _publisher is None or not _publisher.is_alive():
        with _lock:
            if _publisher is None or not _publisher.is_alive():
                _publisher = _Publisher()
                _publisher.start()
    _publisher.waiting.put((_channel(name), text))


class Feed:
    """The messages for one watcher. `lost` is set when some were dropped and the rows must be read."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(BACKLOG)
        self.lost = False

    def put(self, text: str) -> None:
        """Hand over a message; if the watcher is too far behind, drop all and say so."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        """Forget what is waiting and wake the watcher to read the rows."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self.lost = True
        self._queue.put_nowait("")

    async def get(self, timeout: float) -> str | None:
        """Return the next message, or None after `timeout` seconds. An empty text means: read the rows."""
        try:
            return await asyncio.wait_for(self._queue.get(), timeout)
        except TimeoutError:
            return None


class _Hub:
    """One Redis subscription for all watchers of one event loop."""

    def __init__(self) -> None:
        self._feeds: dict[str, set[Feed]] = {}
        self._client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=5)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._reader: asyncio.Task[None] | None = None

    async def join(self, channel: str, feed: Feed) -> None:
        feeds = self._feeds.setdefault(channel, set())
        feeds.add(feed)
        if len(feeds) == 1:
            try:
                await self._pubsub.subscribe(channel)
            except redis.RedisError:
                logger.warning("live: Redis does not answer; watchers look at the rows until it does")
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    async def leave(self, channel: str, feed: Feed) -> None:
        feeds = self._feeds.get(channel, set())
        feeds.discard(feed)
        if not feeds and self._feeds.pop(channel, None) is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except redis.RedisError:
                pass  # the connection is gone, and its subscriptions with it

    async def _read(self) -> None:
        while True:
            try:
                if not self._feeds:
                    await asyncio.sleep(0.05)
                    continue
                message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=30)
            except (redis.RedisError, OSError):
                await asyncio.sleep(_RETRY_SECONDS)
                await self._again()
                continue
            if message and message["type"] == "message":
                for feed in tuple(self._feeds.get(message["channel"].decode(), ())):
                    feed.put(message["data"].decode())

    async def _again(self) -> None:
        """Subscribe anew after a broken connection, and have every watcher read the rows."""
        try:
            await self._pubsub.aclose()
            self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
            if self._feeds:
                await self._pubsub.subscribe(*self._feeds)
        except redis.RedisError:
            return
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.drop()


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def subscribe(name: str) -> AsyncIterator[Feed]:
    """Give a feed of what is published to `name` from now on."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = _Hub()
    feed = Feed()
    channel = _channel(name)
    await hub.join(channel, feed)
    try:
        yield feed
    finally:
        await hub.leave(channel, feed)
