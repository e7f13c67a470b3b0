"""Appending: what waits for a partition goes there together, as one record batch of Kafka, and one batch at a time.

So a batch of ours is atomic, batches of one call keep their order, and a call with thousands of small batches costs
as many round trips as megabytes. A producer that has met any trouble is replaced: its sequence numbers may have a gap,
after which a broker takes nothing more from it.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from crucible.errors import AppendUnknownError, LogError, LogRefusedError, LogUnreachableError
from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.failures import explain_append
from crucible.log.kafka.headers import headers_of
from crucible.log.kafka.names import Names
from crucible.log.kafka.tail import Tail
from crucible.log.protocol import BATCH_BYTES_MAX, BATCH_VALUES_MAX, Appended, Batch, PartitionKey
from crucible.records.record import Topic

APPEND_TIMEOUT_S = 20.0
"""How long a batch may be on its way until its outcome is called unknown: longer than the election of a leader."""
PACK_AFTER_S = 0.002
"""When a batch has been on its way for so long, the next one is packed meanwhile."""
HEADER_BYTES = 200
"""About what the headers of a value take."""
GRACE_S = 5.0
"""How long a producer that is given up may go on with what others have sent through it."""


@dataclasses.dataclass(slots=True, eq=False)
class _Waiting:
    """A batch that waits for its place."""

    batch: Batch
    call: object
    first_offset: asyncio.Future[int]


@dataclasses.dataclass(slots=True, eq=False)
class _Producer:
    """A producer and how many batches are on their way through it."""

    client: AIOKafkaProducer
    in_flight: int = 0
    idle: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


@dataclasses.dataclass(slots=True, eq=False)
class _Parcel:
    """A record batch of Kafka, and the batches in it."""

    batches: Sequence[_Waiting]
    producer: _Producer
    builder: BatchBuilder


class Appender:
    """The one that appends to a log; all of it runs on one event loop."""

    def __init__(self, clients: Clients, names: Names, tail: Tail) -> None:
        """Nothing is connected before the first append: who only reads needs no right to write.

        ``tail`` is told of what was acknowledged before whoever appended it is.
        """
        self._clients = clients
        self._names = names
        self._tail = tail
        self._queues: dict[PartitionKey, collections.deque[_Waiting]] = {}
        self._producer: _Producer | None = None
        self._connecting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches that were checked. Raises as ``Log.append``."""
        call = object()
        waiting = [self._enqueue(batch, call) for batch in batches]
        futures = [each.first_offset for _, each in waiting]
        await asyncio.wait(futures)
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise _worst(errors, is_partial=len(errors) < len(futures))
        return [
            Appended(topic, number, each.first_offset.result(), len(each.batch.values))
            for (topic, number), each in waiting
        ]

    async def close(self) -> None:
        """Stop the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard(producer.client)

    def _enqueue(self, batch: Batch, call: object) -> tuple[PartitionKey, _Waiting]:
        number = self._names.home(batch.topic, batch.key) if batch.partition is None else batch.partition
        key: PartitionKey = (batch.topic, number)
        waiting = _Waiting(batch, call, asyncio.get_running_loop().create_future())
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = collections.deque([waiting])
            self._spawn(self._drain(key))
        else:
            queue.append(waiting)
        return key, waiting

    async def _drain(self, key: PartitionKey) -> None:
        """Send what waits for a partition until nothing does."""
        queue = self._queues[key]
        parcel: _Parcel | None = None
        try:
            while parcel is not None or queue:
                parcel = parcel or await self._pack(key, queue)
                if parcel is not None:
                    parcel = await self._deliver(key, parcel, queue)
        finally:
            del self._queues[key]
            _fail(queue, collections.deque(), LogUnreachableError("the log was closed before the batch was sent"))

    async def _pack(self, key: PartitionKey, queue: collections.deque[_Waiting]) -> _Parcel | None:
        """Make a record batch of what waits longest; None: it can't be made, and who waits was told why."""
        taken = _take(queue)
        try:
            producer = await self._connected()
            builder = producer.client.create_batch()
            for waiting in taken:
                _fill(builder, key[0], waiting.batch)
        except LogError as error:
            _fail(taken, queue, error)
            return None
        return _Parcel(taken, producer, builder)

    async def _deliver(self, key: PartitionKey, parcel: _Parcel, queue: collections.deque[_Waiting]) -> _Parcel | None:
        """Send a record batch and tell who waits. Meanwhile the next one is packed, if it would be full."""
        following: _Parcel | None = None
        sending = asyncio.ensure_future(self._send(key, parcel))
        try:
            await asyncio.wait([sending], timeout=PACK_AFTER_S)
            if not sending.done() and _is_plenty(queue):
                following = await self._pack(key, queue)
            sent = await sending
        except LogError as error:
            queue.extendleft(reversed(following.batches if following else ()))
            _fail(parcel.batches, queue, error)
            return None
        offset = sent.offset
        self._tail.take_own(key, offset, sent.timestamp, [waiting.batch for waiting in parcel.batches])
        for waiting in parcel.batches:
            waiting.first_offset.set_result(offset)
            offset += len(waiting.batch.values)
        return following

    async def _send(self, key: PartitionKey, parcel: _Parcel) -> RecordMetadata:
        """Send a record batch; where and when the broker has put it. Raises ``LogError``."""
        topic, number = key
        producer = parcel.producer
        producer.in_flight += 1
        producer.idle.clear()
        doing = f"appending to {self._names.topic(topic)}, partition {number}, at {self._clients.place}"
        try:
            async with asyncio.timeout(APPEND_TIMEOUT_S):
                future = await producer.client.send_batch(parcel.builder, self._names.topic(topic), partition=number)
                sent: RecordMetadata = await future
        except Exception as error:
            self._retire(producer)
            raise explain_append(error, doing) from error
        finally:
            producer.in_flight -= 1
            if not producer.in_flight:
                producer.idle.set()
        if sent.offset < 0:  # the broker knows the batch, but not any more where it stands
            self._retire(producer)
            message = f"{doing}: it is there, but the broker does not say where; send it again"
            raise AppendUnknownError(message)
        return sent

    async def _connected(self) -> _Producer:
        async with self._connecting:
            if self._producer is None:
                self._producer = _Producer(await self._clients.producer())
            return self._producer

    def _retire(self, producer: _Producer) -> None:
        """Send nothing more through a producer; it goes once what is on its way has had its time."""
        if self._producer is producer:
            self._producer = None
            self._spawn(_dispose(producer))

    def _spawn(self, coroutine: collections.abc.Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _dispose(producer: _Producer) -> None:
    waiting = asyncio.ensure_future(producer.idle.wait())
    await asyncio.wait([waiting], timeout=GRACE_S)
    waiting.cancel()
    await discard(producer.client)


def _fill(builder: BatchBuilder, topic: Topic, batch: Batch) -> None:
    """Put a batch into a record batch. Raises ``LogRefusedError`` if it is too large for one."""
    key = batch.key.encode()
    for outgoing in batch.values:
        if builder.append(timestamp=None, key=key, value=outgoing.value, headers=headers_of(topic, outgoing)) is None:
            message = (
                f"{topic}, key {batch.key[:80]!r}: with its keys and headers the batch is too large; append several"
            )
            raise LogRefusedError(message)


def _is_plenty(queue: collections.deque[_Waiting]) -> bool:
    """Whether what waits would fill a record batch well, so that nothing is gained by waiting for more."""
    size_bytes = 0
    for waiting in queue:
        size_bytes += _size(waiting.batch)
        if size_bytes * 2 > BATCH_BYTES_MAX:
            return True
    return False


def _take(queue: collections.deque[_Waiting]) -> list[_Waiting]:
    """The next batches that together stay within the limits of one."""
    taken = [queue.popleft()]
    size_bytes = _size(taken[0].batch)
    count = len(taken[0].batch.values)
    while queue:
        size_bytes += _size(queue[0].batch)
        count += len(queue[0].batch.values)
        if size_bytes > BATCH_BYTES_MAX or count > BATCH_VALUES_MAX:
            break
        taken.append(queue.popleft())
    return taken


def _size(batch: Batch) -> int:
    """About what a batch takes on the wire before compression: for deciding what goes together."""
    return sum([len(outgoing.value) for outgoing in batch.values]) + len(batch.values) * (len(batch.key) + HEADER_BYTES)


def _fail(taken: Sequence[_Waiting], queue: collections.deque[_Waiting], error: LogError) -> None:
    """Tell who waits. Later batches of the same calls fail as well: sent now, they could come before earlier ones."""
    calls = {waiting.call for waiting in taken}
    others = [waiting for waiting in queue if waiting.call not in calls]
    dropped = [waiting for waiting in queue if waiting.call in calls]
    queue.clear()
    queue.extend(others)
    for waiting in (*taken, *dropped):
        if not waiting.first_offset.done():
            waiting.first_offset.set_exception(error)


def _worst(errors: Sequence[BaseException], *, is_partial: bool) -> BaseException:
    """The error of a call of which some batches failed: a refusal counts most, as sending again won't help."""
    for kind in (LogRefusedError, AppendUnknownError):
        for error in errors:
            if isinstance(error, kind):
                return error
    if is_partial:
        return AppendUnknownError(
            f"a part of the batches was appended, the others were not: {errors[0]}; send all again"
        )
    return errors[0]
