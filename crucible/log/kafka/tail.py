"""The tail: one consumer that waits at the ends of the partitions for which somebody sleeps.

The brokers hold its fetches until there is something (a long poll). What comes wakes the sleepers and lies ready for
them in the pages. A partition for which nobody has slept for a while is paused. A guard compares where the tail stands
with where the partitions end: a consumer that hangs while its process looks alive is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from crucible.errors import LogError
from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.ends import Ends
from crucible.log.kafka.failures import Failure
from crucible.log.kafka.names import Names, stored_page
from crucible.log.kafka.pages import Pages
from crucible.log.kafka.reading import Reader
from crucible.log.protocol import Batch, PartitionKey, Stored

LONG_POLL_MS = 250
"""How long brokers hold a fetch. A partition that joins is fetched from when the fetch before returns: no longer."""
INTEREST_S = 30.0
"""A partition for which nobody has slept for so long is not followed any more."""
GUARD_S = 5.0
"""How often the guard looks; a tail that has not moved between two looks, although it could, is replaced."""
RETRY_S = 0.5
_POLL_MS = 1_000


class Tail:
    """Follows the ends of partitions; all of it runs on one event loop."""

    def __init__(self, clients: Clients, names: Names, reader: Reader, pages: Pages, ends: Ends) -> None:
        """Nothing is connected before the first partition is followed."""
        self._clients = clients
        self._names = names
        self._reader = reader
        self._pages = pages
        self._ends = ends
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[PartitionKey, int] = {}
        self._asked: dict[PartitionKey, float] = {}
        self._following: asyncio.Task[None] | None = None
        self._guarding: asyncio.Task[None] | None = None
        self.replaced = 0
        """How often the consumer was taken for hung, and replaced."""

    def follows(self, keys: Sequence[PartitionKey]) -> bool:
        """Whether partitions are followed, or will be once there is a connection; keeps them so. From any thread."""
        now = time.monotonic()
        for key in keys:
            if key not in self._positions:
                return False
            self._asked[key] = now
        return True

    async def follow(self, ends: Mapping[PartitionKey, int]) -> None:
        """Follow partitions from their ends on."""
        now = time.monotonic()
        for key, end in ends.items():
            self._asked[key] = now
            if key not in self._positions:
                self._positions[key] = end
                self._join(key)
        if self._following is None:
            loop = asyncio.get_running_loop()
            self._following = loop.create_task(self._follow())
            self._guarding = loop.create_task(self._guard())

    def take_own(self, key: PartitionKey, offset: int, appended_ms: int | None, batches: Sequence[Batch]) -> None:
        """Keep what this process has appended, if its partition is followed: who follows need not fetch it.

        ``offset`` and ``appended_ms``, milliseconds since the epoch, are what the broker has acknowledged. One that
        names no time has known the batch from before: then it is fetched as others' are.
        """
        if key not in self._positions or appended_ms is None or appended_ms < 0:
            return
        values = [(batch.key, outgoing.value) for batch in batches for outgoing in batch.values]
        page = [
            Stored(*key, offset + place, name, value, appended_ms * 1000) for place, (name, value) in enumerate(values)
        ]
        self._pages.put(key, page)

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for task in (self._guarding, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self) -> None:
        """Have a consumer and take what it brings; after any trouble have another one."""
        while True:
            with contextlib.suppress(LogError, *Failure):
                consumer = await self._clients.consumer(self._names, LONG_POLL_MS)
                try:
                    self._consumer = consumer
                    for key in self._positions:
                        self._join(key)
                    await self._pump(consumer)
                finally:
                    self._consumer = None
                    await discard(consumer)
            await asyncio.sleep(RETRY_S)

    async def _pump(self, consumer: AIOKafkaConsumer) -> None:
        while self._is_current(consumer):
            try:
                found = await consumer.getmany(timeout_ms=_POLL_MS)
            except Failure as error:
                if not self._leave_those_of(error):
                    raise
                continue
            for partition, records in found.items():
                self._take(partition, records)
            oldest = time.monotonic() - INTEREST_S
            for key in [key for key, asked in self._asked.items() if asked < oldest]:
                self._leave(key)

    def _is_current(self, consumer: AIOKafkaConsumer) -> bool:
        return self._consumer is consumer

    def _take(self, partition: TopicPartition, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        key = self._names.ours(partition)
        position = self._positions.get(key)
        if position is None:
            return
        end = records[-1].offset + 1
        page: Sequence[Stored] = ()
        with contextlib.suppress(LogError):
            page = stored_page(key, position, records)
            self._pages.put(key, page)
        if len(page) == len(records):
            self._positions[key] = end
        else:  # there is a gap: whoever reads there is told
            self._leave(key)
        self._ends.advance({key: end})

    def _join(self, key: PartitionKey) -> None:
        if self._consumer is not None:
            self._consumer.seek(self._names.kafka(key), self._positions[key])
            self._consumer.resume(self._names.kafka(key))

    def _leave(self, key: PartitionKey) -> None:
        self._positions.pop(key, None)
        self._asked.pop(key, None)
        if self._consumer is not None:
            self._consumer.pause(self._names.kafka(key))

    def _leave_those_of(self, error: BaseException) -> bool:
        """Leave the partitions that an error names: reading them says what is wrong. False if it names none."""
        named = error.args[0] if error.args else None
        keys = [
            key
            for key in self._positions
            if (isinstance(named, Mapping) and self._names.kafka(key) in named) or named == self._names.topic(key[0])
        ]
        for key in keys:
            self._leave(key)
        return bool(keys)

    async def _guard(self) -> None:
        """Replace a consumer that stands still although there is more."""
        behind: dict[PartitionKey, int] = {}
        while True:
            await asyncio.sleep(GUARD_S)
            try:
                ends = await self._reader.ends(tuple(self._positions), GUARD_S) if self._positions else {}
            except LogError:
                behind = {}
                continue
            self._ends.advance(ends)
            late = {key: self._positions[key] for key, end in ends.items() if self._positions.get(key, end) < end}
            if any(behind.get(key) == position for key, position in late.items()) and self._consumer is not None:
                self.replaced += 1
                consumer, self._consumer = self._consumer, None
                await discard(consumer)  # its getmany fails or returns, and the pump ends
                late = {}
            behind = late
