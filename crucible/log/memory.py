"""The log in memory, for tests: several partitions, delivered as hostile as the contract allows, and faults on demand.

Nothing may assume an order between partitions or topics. So a reader here gets a random number of values at a time,
sometimes one and sometimes all there are, decided by the seed: what it sees of two partitions interleaves anew with
each seed, and never as it was appended. In one partition all is in order, as in every log.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from crucible.errors import AppendUnknownError, LogError, LogTrimmedError
from crucible.log.limits import check_batches
from crucible.log.protocol import READ_BYTES_MAX, TOPICS, Appended, Batch, Offsets, PartitionKey, Stored
from crucible.ports import Clock, SystemClock
from crucible.records.record import Topic

AppendFault = Literal["refused", "unknown_appended", "unknown_lost", "late"]
"""What can happen to an append: it fails and leaves nothing; its outcome is unknown, and it happened, or it did not;
or it is unknown and the batches arrive later, behind others, when ``deliver_late`` says so."""
_TRICKLE = 0.5
"""How often a read gives one value although there are more."""


class MemoryLog:
    """A log that lives as long as the object. Every method may be called from any thread."""

    def __init__(self, partitions: Mapping[Topic, int], seed: int = 0, *, clock: Clock | None = None) -> None:
        """``partitions`` says how many a topic has (1 for a topic that is not named)."""
        self._counts = {topic: partitions.get(topic, 1) for topic in TOPICS}
        self._values: dict[PartitionKey, list[Stored]] = {
            (topic, partition): [] for topic, count in self._counts.items() for partition in range(count)
        }
        self._starts = dict.fromkeys(self._values, 0)
        self._clock = clock or SystemClock()
        self._random = random.Random(seed)  # noqa: S311  a seeded interleaving, not a secret
        self._changed = threading.Condition()
        self._late: list[Batch] = []
        self._is_closed = False
        self.choose_fault: Callable[[Sequence[Batch]], AppendFault | None] = _no_fault
        """Asked before each append what shall happen to it; None: it succeeds."""

    @property
    def location(self) -> str:
        """``memory``."""
        return "memory"

    def partitions(self, topic: Topic) -> Sequence[int]:
        """Partitions 0 to n - 1."""
        if topic not in self._counts:
            message = f"there is no topic {topic!r}, only {', '.join(TOPICS)}"
            raise LogError(message)
        return range(self._counts[topic])

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go."""
        return zlib.crc32(key.encode()) % self._counts[topic]

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches, as ``Log.append``, or do what ``choose_fault`` says."""
        check_batches(batches, self.partitions)
        with self._changed:
            self._require_open()
            fault = self.choose_fault(batches) if batches else None
            if fault == "refused":
                message = "the log refused the append; nothing of it was written"
                raise LogError(message)
            if fault == "late":
                self._late.extend(batches)
            elif fault != "unknown_lost":
                appended = [self._store(batch) for batch in batches]
                self._changed.notify_all()
        if fault is not None:
            message = "the log did not answer: the batches may or may not be in it; send them again"
            raise AppendUnknownError(message)
        return appended

    def deliver_late(self, limit: int | None = None) -> int:
        """Append up to ``limit`` batches that are still on their way, in the order sent; how many there were."""
        with self._changed:
            arriving = self._late[:limit]
            del self._late[: len(arriving)]
            for batch in arriving:
                self._store(batch)
            self._changed.notify_all()
            return len(arriving)

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values from ``offset`` on, as ``Log.read``: at least one if there is one, and the seed says how many."""
        if limit < 1:
            message = f"{topic}, partition {partition}: a read takes a limit of at least 1, not {limit}"
            raise LogError(message)
        with self._changed:
            self._require_open()
            values = self._partition(topic, partition)
            start = self._starts[topic, partition]
            end = start + len(values)
            if not 0 <= offset <= end:
                raise _outside(topic, partition, offset, end)
            if offset < start:
                message = f"{topic}, partition {partition}: offset {offset} was trimmed, the log begins at {start}"
                raise LogTrimmedError(message)
            count = min(limit, end - offset)
            if count > 1:
                count = 1 if self._random.random() < _TRICKLE else self._random.randint(1, count)
            return _bounded(values[offset - start : offset - start + count])

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start."""
        with self._changed:
            self._require_open()
            self._partition(topic, partition)
            return self._starts[topic, partition]

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Remove values below ``offset``, as ``Log.trim``: all of them."""
        with self._changed:
            self._require_open()
            values = self._partition(topic, partition)
            start = self._starts[topic, partition]
            if offset > start + len(values):
                raise _outside(topic, partition, offset, start + len(values))
            if offset > start:
                del values[: offset - start]
                self._starts[topic, partition] = offset
            return self._starts[topic, partition]

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset."""
        with self._changed:
            self._require_open()
            values = self._partition(topic, partition)
            return self._starts[topic, partition] + len(values)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The next offsets."""
        return {key: self.end(*key) for key in partitions}

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """All: a read costs nothing."""
        return tuple(offsets)

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until there is more, as ``Log.wait``: in real time, whatever the clock says."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._require_open()
            wanted = [(key, self._partition(*key), offset) for key, offset in offsets.items()]
            while not any(self._starts[key] + len(values) > offset for key, values, offset in wanted):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 or self._is_closed:
                    return False
                self._changed.wait(remaining_s)
            return True

    def close(self) -> None:
        """Wake all who sleep, and refuse every further call."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _store(self, batch: Batch) -> Appended:
        partition = self.home(batch.topic, batch.key) if batch.partition is None else batch.partition
        values = self._values[batch.topic, partition]
        first = self._starts[batch.topic, partition] + len(values)
        now_us = self._clock.now_us()
        for offset, outgoing in enumerate(batch.values, start=first):
            values.append(Stored(batch.topic, partition, offset, batch.key, outgoing.value, now_us))
        return Appended(batch.topic, partition, first, len(batch.values))

    def _partition(self, topic: Topic, partition: int) -> list[Stored]:
        values = self._values.get((topic, partition))
        if values is None:
            message = f"this log has no partition {partition} of {topic!r}"
            raise LogError(message)
        return values

    def _require_open(self) -> None:
        if self._is_closed:
            message = "the log in memory is closed; make another one"
            raise LogError(message)


def _outside(topic: Topic, partition: int, offset: int, end: int) -> LogError:
    message = f"{topic}, partition {partition}: offset {offset} lies outside of the log, which ends at {end}"
    return LogError(message)


def _no_fault(_batches: Sequence[Batch]) -> AppendFault | None:
    return None


def _bounded(values: list[Stored]) -> list[Stored]:
    """As many values as a read may return, at least one."""
    size_bytes = 0
    for number, stored in enumerate(values):
        size_bytes += len(stored.value)
        if size_bytes > READ_BYTES_MAX and number > 0:
            return values[:number]
    return values
