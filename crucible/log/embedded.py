"""The embedded log: one folder on a local disk, used by any number of processes at once, durable at every return.

A SQLite database in WAL mode holds a row for each batch. Around it stand a lock (``lock``), a file that wakes readers
(``bell``) and one that remembers what was acknowledged (``head``). Every topic has partition 0 only.

What was appended survives kill -9 at any instant and, on disks that keep what they confirm, the power cable. Damage
is noticed by checksums that chain the batches; ``crucible.log.salvage`` rescues what is whole.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from crucible.errors import LogError
from crucible.log.appender import Appender, LogStatistics
from crucible.log.bell import Listener
from crucible.log.commit import Call
from crucible.log.frame import make_body
from crucible.log.gate import Gate
from crucible.log.limits import check_batches
from crucible.log.protocol import Appended, Batch, Offsets, PartitionKey, Stored
from crucible.log.reader import Reader
from crucible.log.store import Store, raise_if_unknown
from crucible.log.trimming import trim_topic
from crucible.ports import Clock, SystemClock
from crucible.records.record import Topic


class EmbeddedLog:
    """A log in a folder. Every method may be called from any thread, and any number of processes may open it.

    A process that forks keeps its log; the child opens its own.
    """

    def __init__(self, folder: Path, *, clock: Clock | None = None, vfs: str | None = None) -> None:
        """Open the log in ``folder``, or make one there.

        ``vfs`` names the SQLite file layer to use, for tests on disks that fail. Raises ``LogRefusedError`` for a
        place that a log does not take, ``LogCorruptError`` for a log that lacks what was acknowledged, and
        ``LogError`` if the disk fails.
        """
        self._store = Store(folder, vfs)
        self._gate = Gate(str(folder))
        self._reader = Reader(self._store)
        self._appender = Appender(self._store, clock or SystemClock())
        self._listeners: list[Listener] = []
        _OPEN.add(self)

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._store.folder)

    @property
    def statistics(self) -> LogStatistics:
        """What this opened log has done so far."""
        return self._appender.statistics

    def partitions(self, topic: Topic) -> Sequence[int]:
        """Partition 0."""
        raise_if_unknown(topic, 0)
        return (0,)

    def home(self, topic: Topic, key: str) -> int:
        """Partition 0: a topic has no other."""
        _ = topic, key
        return 0

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches in one transaction, as ``Log.append``."""
        check_batches(batches, self.partitions)
        if not batches:
            return ()
        bodies = [make_body(batch.topic, batch.key, [outgoing.value for outgoing in batch.values]) for batch in batches]
        with self._gate:
            return self._appender.append(Call(bodies))

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values from ``offset`` on, as ``Log.read``."""
        raise_if_unknown(topic, partition)
        if limit < 1:
            message = f"{topic}, partition {partition}: a read takes a limit of at least 1, not {limit}"
            raise LogError(message)
        with self._gate:
            return self._reader.read(topic, offset, limit)

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset, as ``Log.end``."""
        raise_if_unknown(topic, partition)
        with self._gate:
            return self._reader.end(topic)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The next offsets, as ``Log.ends``."""
        return {key: self.end(*key) for key in partitions}

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """All, as ``Log.ready`` may: a read asks nobody."""
        return tuple(offsets)

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start, as ``Log.start``."""
        raise_if_unknown(topic, partition)
        with self._gate:
            return self._reader.start(topic)

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Remove the batches whose values all lie below ``offset``, as ``Log.trim``."""
        raise_if_unknown(topic, partition)
        with self._gate:
            return trim_topic(self._store, topic, offset)

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until there is more, as ``Log.wait``."""
        for topic, partition in offsets:
            raise_if_unknown(topic, partition)
        wanted = [(topic, offset) for (topic, _), offset in offsets.items()]
        deadline = time.monotonic() + timeout_s
        with self._gate:
            listener = self._listeners.pop() if self._listeners else Listener(self._store.bell.path)
            try:
                return self._sleep(listener, wanted, deadline)
            finally:
                self._listeners.append(listener)

    def close(self) -> None:
        """Give back everything; calls that sleep return. Safe to call twice, and without effect in a forked child."""
        if self._gate.is_foreign or not self._gate.shut():
            return
        self._store.bell.ring()
        self._gate.wait_empty()
        for listener in self._listeners:
            listener.close()
        self._store.close()
        _OPEN.discard(self)

    def _sleep(self, listener: Listener, wanted: Sequence[tuple[Topic, int]], deadline: float) -> bool:
        listener.clear()
        has_rung = False
        while True:
            # The head knows of every append that rang; of one whose process died before, only the database does.
            if self._is_beyond(wanted) or (not has_rung and self._is_stored_beyond(wanted)):
                return True
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 or self._gate.is_closed:
                return False
            has_rung = listener.sleep(remaining_s)

    def _is_beyond(self, wanted: Iterable[tuple[Topic, int]]) -> bool:
        for topic, offset in wanted:
            known = self._store.head.read(topic)
            if known is not None and known[0] > offset:
                return True
        return False

    def _is_stored_beyond(self, wanted: Iterable[tuple[Topic, int]]) -> bool:
        return any(self._reader.end(topic) > offset for topic, offset in wanted)

    def _abandon(self) -> None:
        self._store.abandon()
        for listener in self._listeners:
            listener.close()


_OPEN: weakref.WeakSet[EmbeddedLog] = weakref.WeakSet()


def _abandon_all() -> None:
    """In a forked child: no log of the parent may be used, nor its lock be held."""
    for log in tuple(_OPEN):
        log._abandon()  # noqa: SLF001
    _OPEN.clear()


os.register_at_fork(after_in_child=_abandon_all)
