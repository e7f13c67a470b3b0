"""``KafkaLog``: the log on Apache Kafka, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from aiokafka.errors import OffsetOutOfRangeError

from crucible.errors import (
    AppendUnknownError,
    LogError,
    LogRefusedError,
    LogTrimmedError,
    LogUnreachableError,
)
from crucible.log.address import KafkaAddress
from crucible.log.gate import Gate
from crucible.log.kafka.appending import Appender
from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.ends import Ends
from crucible.log.kafka.failures import Failure, explain
from crucible.log.kafka.names import Names, stored_page
from crucible.log.kafka.options import KafkaOptions
from crucible.log.kafka.pages import Pages, bounded
from crucible.log.kafka.reading import READ_TIMEOUT_S, Reader
from crucible.log.kafka.session import CLOSE_WAIT_S, HungLoopError, Session
from crucible.log.kafka.tail import Tail
from crucible.log.kafka.topics import partition_counts
from crucible.log.kafka.trimming import delete_below
from crucible.log.limits import check_batches
from crucible.log.protocol import BATCH_VALUES_MAX, Appended, Batch, Offsets, PartitionKey, Stored
from crucible.records.record import Topic

T = TypeVar("T")
THREAD_NAME = "crucible-kafka"
CLOSER_NAME = "crucible-kafka-closer"
OPEN_TIMEOUT_S = 60.0
LOOK_TIMEOUT_S = 30.0
"""How long topics are asked for again while brokers answer that are not those that have to."""
CONFIRM_S = 1.0
"""How long an end is asked for again that lies before an offset somebody claims to have read up to."""
RECHECK_S = 10.0
"""How long a sleeper trusts the tail before it asks for the ends itself."""
GLANCE_S = 1.0
"""How long asking for the ends may take somebody who has less time than that to sleep."""
UNREACHABLE_WAIT_S = 1.0
"""How long a sleeper waits while no broker answers, until it asks again."""


@dataclasses.dataclass(frozen=True)
class _Connection:
    """All that runs on one event loop: replaced as a whole if the loop hangs."""

    session: Session
    appender: Appender
    reader: Reader
    tail: Tail
    fetching: dict[PartitionKey, asyncio.Lock] = dataclasses.field(default_factory=dict)
    tasks: set[asyncio.Task[Any]] = dataclasses.field(default_factory=set)

    def read_ahead(self, fetching: Coroutine[Any, Any, Sequence[Stored]]) -> None:
        """Fetch what nobody has asked for yet; why it fails will be told to whoever asks."""
        task = asyncio.get_running_loop().create_task(_silently(fetching))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def close(self) -> None:
        """Stop the clients and the loop."""
        with contextlib.suppress(LogError):
            self.session.run(self._stop())
        self.session.close()

    async def _stop(self) -> None:
        await asyncio.wait_for(
            asyncio.gather(self.tail.close(), self.reader.close(), self.appender.close()), CLOSE_WAIT_S
        )


class KafkaLog:
    """A log on a Kafka cluster. Every method may be called from any thread, and any number of processes may open it."""

    def __init__(self, address: KafkaAddress, options: KafkaOptions | None = None) -> None:
        """Open the log at ``address``; topics that are not there are made.

        Raises ``LogRefusedError`` for topics that are wrong or rights that are missing, ``LogUnreachableError`` if no
        broker answers, ``DefinitionError`` for certificates that can't be used.
        """
        options = options or KafkaOptions()
        self._address = address
        self._clients = Clients(address.servers, options.client_arguments(), options.compression)
        self._gate = Gate(str(address))
        self._pages = Pages()
        self._ends = Ends()
        self._replacing = threading.Lock()
        session = Session(THREAD_NAME)
        try:
            self._names = session.run(self._describe(options))
        except BaseException:
            session.close()
            raise
        self._connection = self._connect(session)
        _OPEN.add(self)

    @property
    def location(self) -> str:
        """The address."""
        return str(self._address)

    def partitions(self, topic: Topic) -> Sequence[int]:
        """Partitions 0 to n - 1."""
        return self._names.partitions(topic)

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go."""
        return self._names.home(topic, key)

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches, as ``Log.append``: those of one partition go together."""
        check_batches(batches, self.partitions)
        if not batches:
            return ()
        with self._gate:
            try:
                appended = self._run(lambda connection: connection.appender.append(batches))
            except HungLoopError as error:
                message = f"appending to {self._address}: {error}; it may or may not have happened, send it again"
                raise AppendUnknownError(message) from error
        self._ends.advance({(each.topic, each.partition): each.first_offset + each.count for each in appended})
        return appended

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values from ``offset`` on, as ``Log.read``."""
        key = (topic, partition)
        self._names.kafka(key)
        if limit < 1:
            message = f"{topic}, partition {partition}: a read takes a limit of at least 1, not {limit}"
            raise LogError(message)
        with self._gate:
            page = self._pages.take(key, offset, limit) if offset >= 0 else ()
            if page:
                return page
            if not 0 <= offset < self._ends.known(key):
                end = self._end(key, offset)
                if offset == end:
                    return []
                if not 0 <= offset < end:
                    raise _outside(key, offset, end)
            page = self._run(lambda connection: self._fetch(connection, key, offset))
            return bounded(page[:limit])

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset, as ``Log.end``."""
        key = (topic, partition)
        self._names.kafka(key)
        with self._gate:
            return self._end(key)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The next offsets, as ``Log.ends``: with one request to each broker that leads some of the partitions."""
        for key in partitions:
            self._names.kafka(key)
        if not partitions:
            return {}
        with self._gate:
            known = {key: self._ends.known(key) for key in partitions}
            ends = self._run(lambda connection: connection.reader.ends(partitions))
            self._ends.advance(ends)
            return {key: end if end >= known[key] else self._end(key) for key, end in ends.items()}

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """Partitions that are worth a read, as ``Log.ready``: the tail says which of those that it follows."""
        tail = self._connection.tail
        return [key for key in offsets if self._ends.known(key) > offsets[key] or not tail.follows((key,))]

    def start(self, topic: Topic, partition: int) -> int:
        """The first offset that the topic still has, as ``Log.start``."""
        key = (topic, partition)
        self._names.kafka(key)
        with self._gate:
            return self._run(lambda connection: connection.reader.beginnings((key,)))[key]

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Remove values below ``offset``, as ``Log.trim``: all of them, on every broker."""
        key = (topic, partition)
        self._names.kafka(key)
        with self._gate:
            end = self._end(key)
            if offset > end:
                raise _outside(key, offset, end)
            if offset > self._run(lambda connection: connection.reader.beginnings((key,)))[key]:
                self._run(lambda _: delete_below(self._clients, self._names.kafka(key), offset))
                self._pages.forget(key)
            return self._run(lambda connection: connection.reader.beginnings((key,)))[key]

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until there is more, as ``Log.wait``. While no broker answers there is nothing to wake up for."""
        keys = tuple(offsets)
        for key in keys:
            self._names.kafka(key)
        deadline = time.monotonic() + timeout_s
        with self._gate:
            while not self._ends.is_beyond(offsets):
                remaining_s = deadline - time.monotonic()
                if remaining_s > 0 and self._connection.tail.follows(keys):
                    if self._ends.wait_beyond(offsets, min(remaining_s, RECHECK_S)):
                        return True
                    remaining_s = deadline - time.monotonic()
                if self._gate.is_closed:
                    return False
                if not self._follow(keys, remaining_s):
                    self._ends.wait_beyond(offsets, max(0.0, min(deadline - time.monotonic(), UNREACHABLE_WAIT_S)))
                if remaining_s <= 0:
                    return self._ends.is_beyond(offsets)
            return True

    def close(self) -> None:
        """Give back everything; calls that sleep return. Safe to call twice, and without effect in a forked child."""
        if self._gate.is_foreign or not self._gate.shut():
            return
        self._ends.close()
        self._connection.close()
        self._gate.wait_empty()
        _OPEN.discard(self)

    def _end(self, key: PartitionKey, claimed: int = 0) -> int:
        """The end of a partition: not before what we have seen of it, nor soon before what somebody else claims to."""
        known = self._ends.known(key)
        end = self._run(lambda connection: connection.reader.settled_end(key, known, READ_TIMEOUT_S))
        if end < claimed:
            end = self._run(lambda connection: connection.reader.settled_end(key, claimed, CONFIRM_S))
        if end < known:
            self._forget(key, end)
        self._ends.advance({key: end})
        return end

    def _forget(self, key: PartitionKey, end: int) -> None:
        """A partition is not any more what it was: truncated, or made anew."""
        self._ends.correct(key, end)
        self._pages.forget(key)

    def _follow(self, keys: Sequence[PartitionKey], remaining_s: float) -> bool:
        """Ask where partitions end, and follow them from there if there is time to sleep; False: nobody answers."""
        patience_s = max(GLANCE_S, min(remaining_s, READ_TIMEOUT_S))
        try:
            ends = self._run(lambda connection: connection.reader.ends(keys, patience_s))
            self._ends.advance(ends)
            if remaining_s > 0:
                self._run(lambda connection: connection.tail.follow(ends))
        except LogUnreachableError:
            return False
        return True

    async def _fetch(self, connection: _Connection, key: PartitionKey, offset: int) -> Sequence[Stored]:
        """Values from ``offset`` on, and those after them soon: whoever reads a page is likely to want the next one."""
        page = await self._page(connection, key, offset)
        following = page[-1].offset + 1
        if following < self._ends.known(key):
            connection.read_ahead(self._page(connection, key, following))
        return page

    async def _page(self, connection: _Connection, key: PartitionKey, offset: int) -> Sequence[Stored]:
        """Values from ``offset`` on: one fetch of a partition at a time, and what it brings is for all."""
        async with connection.fetching.setdefault(key, asyncio.Lock()):
            page = self._pages.take(key, offset, BATCH_VALUES_MAX)
            if page:
                return page
            try:
                page = stored_page(key, offset, await connection.reader.fetch(key, offset))
            except LogRefusedError as error:
                if not isinstance(error.__cause__, OffsetOutOfRangeError):
                    raise
                raise await self._lost(connection, key, offset) from error
            self._pages.put(key, page)
            self._ends.advance({key: page[-1].offset + 1})
            return page

    async def _lost(self, connection: _Connection, key: PartitionKey, offset: int) -> LogError:
        """What to say of an offset that was there, as others or we ourselves have seen, and is not any more."""
        end = (await connection.reader.ends((key,)))[key]
        begin = (await connection.reader.beginnings((key,)))[key]
        self._forget(key, end)
        if offset >= end:
            return _outside(key, offset, end)
        topic, partition = key
        message = (
            f"{topic}, partition {partition}: offset {offset} is not there any more, the topic begins at {begin}: "
            "records have been deleted; see `crucible topics check` for its retention"
        )
        return LogTrimmedError(message)

    def _run(self, work: Callable[[_Connection], Coroutine[Any, Any, T]]) -> T:
        """Do something on the event loop; one that hangs is replaced, and ``HungLoopError`` raised."""
        connection = self._connection
        try:
            return connection.session.run(work(connection))
        except HungLoopError as error:
            if self._gate.is_closed:
                message = f"the log at {self._address} was closed meanwhile"
                raise LogError(message) from error
            self._replace(connection)
            raise

    def _replace(self, connection: _Connection) -> None:
        with self._replacing:
            if self._connection is connection:
                self._connection = self._connect(Session(THREAD_NAME))
                threading.Thread(target=connection.close, name=CLOSER_NAME, daemon=True).start()

    def _connect(self, session: Session) -> _Connection:
        """The parts on a loop; nothing of them runs yet."""
        reader = Reader(self._clients, self._names)
        tail = Tail(self._clients, self._names, reader, self._pages, self._ends)
        return _Connection(session, Appender(self._clients, self._names, tail), reader, tail)

    async def _describe(self, options: KafkaOptions) -> Names:
        """Look at the topics, and make them if there are none: again while one broker of several does not answer."""
        deadline = time.monotonic() + LOOK_TIMEOUT_S
        while True:
            admin = await self._clients.admin()
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    return Names(self._address.prefix, await partition_counts(admin, self._address, options))
            except Failure as error:
                problem = explain(error, f"looking at the topics of {self._address}")
                if not isinstance(problem, LogUnreachableError) or time.monotonic() > deadline:
                    raise problem from error
            finally:
                await discard(admin)
            await asyncio.sleep(UNREACHABLE_WAIT_S)


async def _silently(fetching: Coroutine[Any, Any, Sequence[Stored]]) -> None:
    with contextlib.suppress(LogError):
        await fetching


def _outside(key: PartitionKey, offset: int, end: int) -> LogError:
    topic, partition = key
    return LogError(f"{topic}, partition {partition}: offset {offset} lies outside of the log, which ends at {end}")


_OPEN: weakref.WeakSet[KafkaLog] = weakref.WeakSet()
_INHERITED: list[KafkaLog] = []
"""In a forked child: logs of the parent, kept for good. Their connections must not be closed by the child: it shares
the parent's poll of the sockets, and closing would take them out of it."""


def _keep_inherited() -> None:
    _INHERITED.extend(_OPEN)
    _OPEN.clear()


os.register_at_fork(after_in_child=_keep_inherited)
