"""Reading at any offset: one consumer with every partition assigned and paused, moved by ``seek`` before each fetch.

A partition is resumed only while it is being fetched from, so that nothing is fetched that nobody asked for, and no
reader moves another one's position: what was fetched goes into pages that all share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import OffsetOutOfRangeError

from crucible.errors import LogError, LogRefusedError, LogUnreachableError
from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.failures import Failure, Kind, explain, kind_of
from crucible.log.kafka.names import Names, gap
from crucible.log.protocol import PartitionKey

READ_TIMEOUT_S = 20.0
"""How long a read tries: longer than the election of a leader."""
STALL_S = 6.0
"""A fetch of what is there takes longer only if leaders change, or if the consumer hangs: then another one is tried."""
RETRY_S = 0.1
FETCH_MAX_WAIT_MS = 50
"""How long a broker may hold a fetch for which it has nothing: short, as others wait behind it."""
_POLL_MS = 1_000


class Reader:
    """Fetches and asks for ends; all of it runs on one event loop."""

    def __init__(self, clients: Clients, names: Names) -> None:
        """Nothing is connected before the first use."""
        self._clients = clients
        self._names = names
        self._consumer: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self.replaced = 0
        """How often the consumer was taken for hung, and replaced."""

    async def fetch(self, key: PartitionKey, offset: int) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """Records from ``offset`` on, below the end; one fetch of a partition at a time. Raises ``LogError``."""
        partition = self._names.kafka(key)
        doing = f"reading {partition.topic}, partition {partition.partition}, offset {offset}, at {self._clients.place}"
        deadline = time.monotonic() + READ_TIMEOUT_S
        problem: BaseException | None = None
        while time.monotonic() < deadline:
            consumer = await self._connected(deadline)
            try:
                records = await self._fetch_once(consumer, key, offset, min(deadline, time.monotonic() + STALL_S))
            except OffsetOutOfRangeError as error:
                # A leader that was deposed while it was paused lacks what was appended since, and does not know it.
                if (await self.beginnings((key,)))[key] > offset:
                    raise explain(error, doing) from error
                problem = error
                await asyncio.sleep(RETRY_S)
                continue
            except Failure as error:
                if kind_of(error) in {Kind.REFUSED, Kind.CORRUPT}:
                    raise explain(error, doing) from error
                problem = error
                await self._recover(consumer, error)
                continue
            if records:
                return records
            await self._replace(consumer)
        if problem is not None:
            raise explain(problem, doing) from problem
        message = f"{doing}: the brokers have sent nothing for {READ_TIMEOUT_S:.0f} s, although it is there"
        raise LogUnreachableError(message)

    async def ends(self, keys: Iterable[PartitionKey], timeout_s: float = READ_TIMEOUT_S) -> dict[PartitionKey, int]:
        """The ends of partitions, as of now. Raises ``LogError``."""
        return await self._offsets(keys, timeout_s, "end_offsets", "asking for the end of")

    async def settled_end(self, key: PartitionKey, seen: int, patience_s: float) -> int:
        """The end of a partition, asked for until it does not lie before ``seen``, or for ``patience_s``.

        A leader that was just elected, or one that was deposed and does not know it yet, names an end that lies before
        what others have shown already. (Brokers tell newer clients, KIP-207 and 320; aiokafka asks as older ones did.)
        """
        deadline = time.monotonic() + patience_s
        while True:
            end = (await self.ends((key,)))[key]
            if end >= seen or time.monotonic() >= deadline:
                return end
            await asyncio.sleep(RETRY_S)

    async def beginnings(self, keys: Iterable[PartitionKey]) -> dict[PartitionKey, int]:
        """The first offsets that partitions hold. Raises ``LogError``."""
        return await self._offsets(keys, READ_TIMEOUT_S, "beginning_offsets", "asking for the beginning of")

    async def close(self) -> None:
        """Stop the consumer."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await discard(consumer)

    async def _offsets(
        self, keys: Iterable[PartitionKey], timeout_s: float, method: str, what: str
    ) -> dict[PartitionKey, int]:
        partitions = {self._names.kafka(key): key for key in keys}
        topics = ", ".join(sorted({partition.topic for partition in partitions}))
        doing = f"{what} {topics} at {self._clients.place}"
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                    consumer = await self._connected(deadline)
                    found = await getattr(consumer, method)(list(partitions))
                return {partitions[partition]: offset for partition, offset in found.items()}
            except Failure as error:
                if kind_of(error) is Kind.REFUSED:
                    raise explain(error, doing) from error
                if time.monotonic() + RETRY_S >= deadline:
                    raise explain(error, doing) from error
                await asyncio.sleep(RETRY_S)

    async def _fetch_once(
        self, consumer: AIOKafkaConsumer, key: PartitionKey, offset: int, deadline: float
    ) -> Sequence[ConsumerRecord[bytes, bytes]]:
        """What one fetch brings; nothing if the deadline came first."""
        partition = self._names.kafka(key)
        consumer.seek(partition, offset)
        consumer.resume(partition)
        try:
            while (left_s := deadline - time.monotonic()) > 0:
                found = await consumer.getmany(partition, timeout_ms=min(_POLL_MS, int(left_s * 1000) + 1))
                if found.get(partition):
                    records: Sequence[ConsumerRecord[bytes, bytes]] = found[partition]
                    return records
                if await consumer.position(partition) > offset:  # what came holds no values
                    raise gap(key, offset)
            return ()
        finally:
            consumer.pause(partition)

    async def _connected(self, deadline: float) -> AIOKafkaConsumer:
        async with self._connecting:
            while self._consumer is None:
                try:
                    self._consumer = await self._clients.consumer(self._names, FETCH_MAX_WAIT_MS)
                except LogRefusedError:
                    raise
                except LogError:
                    if time.monotonic() + RETRY_S >= deadline:
                        raise
                    await asyncio.sleep(RETRY_S)
            return self._consumer

    async def _recover(self, consumer: AIOKafkaConsumer, error: BaseException) -> None:
        """After an error that may pass: wait a little, or replace a client that is broken."""
        if kind_of(error) is Kind.FAULT:
            await self._replace(consumer)
        await asyncio.sleep(RETRY_S)

    async def _replace(self, consumer: AIOKafkaConsumer) -> None:
        if self._consumer is consumer:
            self._consumer = None
            self.replaced += 1
            await discard(consumer)
