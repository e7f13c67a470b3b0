"""Appending to an embedded log: one transaction for all that waits, durable before anyone is told.

The write-ahead log is checkpointed here and nowhere else, under the lock, whenever it has grown by 4 MiB.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from crucible.errors import LogError
from crucible.faults import fault_point
from crucible.log.commit import Call, CommitQueue
from crucible.log.database import (
    CHECKPOINT_BUSY_MS,
    COMMITTING,
    DATABASE_NAME,
    WAL_FRAME_BYTES,
    WAL_HEADER_BYTES,
    WAL_NAME,
    explain,
    set_patience,
)
from crucible.log.frame import seal
from crucible.log.protocol import TOPICS, Appended
from crucible.log.store import Store
from crucible.ports import Clock
from crucible.records.record import Topic

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""How far the write-ahead log grows between two checkpoints."""
_CHECKPOINT_PAGES = CHECKPOINT_BYTES // WAL_FRAME_BYTES
WAL_GROWTH_BYTES = 256 * 1024
"""The write-ahead log's file grows by this much ahead of its use: syncing blocks that are there takes half the time."""
WAL_ROOM_MIN_BYTES = 64 * 1024
_INSERT = {topic: f"INSERT INTO {topic} VALUES (?, ?, ?)" for topic in TOPICS}  # noqa: S608


@dataclasses.dataclass(frozen=True, slots=True)
class LogStatistics:
    """What one opened log has done so far."""

    batches: int
    """Batches appended."""
    commits: int
    """Transactions that they took."""
    checkpoints: int
    """Times that the write-ahead log was emptied."""
    checkpoint_problem: str | None
    """Why the last checkpoint failed; None if it did not."""


class Appender:
    """The one that appends to a log, for all threads of a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Nothing is opened before the first append."""
        self._store = store
        self._clock = clock
        self._queue = CommitQueue(self._commit)
        self._connection: apsw.Connection | None = None
        self._wal_path = store.folder / WAL_NAME
        self._files: dict[Path, int] = {}
        """Inode of each file that batches are written to."""
        self._wal_pages = 0
        self._wal_room_bytes = 0
        self._checkpoint_at_pages = _CHECKPOINT_PAGES
        self._statistics = LogStatistics(0, 0, 0, None)

    @property
    def statistics(self) -> LogStatistics:
        """What was done so far."""
        return self._statistics

    def append(self, call: Call) -> Sequence[Appended]:
        """Append the batches of a call. Raises ``LogError``."""
        return self._queue.append(call)

    def _commit(self, calls: Sequence[Call]) -> None:
        fault_point("append:before-lock")
        with self._store.lock:
            fault_point("append:locked")
            if self._connection is None:
                self._connection = self._store.connect()
                self._connection.set_wal_hook(self._note_pages)
                self._files.clear()
            self._raise_if_replaced()
            ends = self._transact(self._connection, calls)
            fault_point("append:committed")
            for topic, (end, crc) in ends.items():
                self._store.head.write(topic, end, crc)
            # Readers look now and then without being rung for, and the batches are durable: not worth an error.
            with contextlib.suppress(OSError):
                self._store.bell.ring()
            self._keep_wal(self._connection)
        fault_point("append:acknowledge")

    def _raise_if_replaced(self) -> None:
        """Raise ``LogError`` if a file of the log was deleted or replaced: what is written to the open one is lost."""
        for path in (self._store.folder / DATABASE_NAME, self._wal_path):
            try:
                inode = path.stat().st_ino
            except FileNotFoundError:
                inode = None
            known = self._files.get(path)
            if known is None and inode is not None:
                self._files[path] = inode
            elif known != inode:
                self._drop()
                message = f"{path} was deleted or replaced while the log was open; nothing more is written to it"
                raise LogError(message)

    def _transact(self, connection: apsw.Connection, calls: Sequence[Call]) -> dict[Topic, tuple[int, int]]:
        """Append in one transaction; the new end of each topic, and the CRC of its last frame."""
        doing = "appending to"
        try:
            connection.execute("BEGIN IMMEDIATE")
            fault_point("append:in-transaction")
            ends = self._insert(connection, calls)
            fault_point("append:before-commit")
            doing = COMMITTING
            connection.execute("COMMIT")
        except apsw.Error as error:
            explained = explain(error, connection, doing, self._store.folder)
            self._drop()
            raise explained from error
        except BaseException:
            self._drop()
            raise
        batches = sum([len(call.bodies) for call in calls])
        before = self._statistics
        self._statistics = dataclasses.replace(before, batches=before.batches + batches, commits=before.commits + 1)
        return ends

    def _insert(self, connection: apsw.Connection, calls: Sequence[Call]) -> dict[Topic, tuple[int, int]]:
        ends: dict[Topic, tuple[int, int]] = {}
        appended_at_us = self._clock.now_us()
        for call in calls:
            places = []
            for body in call.bodies:
                topic = body.topic
                if topic not in ends:
                    ends[topic] = self._store.checked_end(connection, topic)
                first, previous = ends[topic]
                frame, crc = seal(body, first, previous, appended_at_us)
                end = first + body.count
                connection.execute(_INSERT[topic], (end - 1, crc, frame))
                ends[topic] = (end, crc)
                places.append(Appended(topic, 0, first, body.count))
            call.appended = places
        return ends

    def _drop(self) -> None:
        """After an error: what the connection holds in memory is worth nothing. The next append opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._store.discard(connection)

    def _note_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _keep_wal(self, connection: apsw.Connection) -> None:
        """Checkpoint when it is time; else see that the next commits find room in the file."""
        if self._wal_pages >= self._checkpoint_at_pages:
            self._checkpoint(connection)
        used_bytes = WAL_HEADER_BYTES + self._wal_pages * WAL_FRAME_BYTES
        if used_bytes + WAL_ROOM_MIN_BYTES > self._wal_room_bytes:
            # On a full disk nothing is gained and nothing lost: the append that needs the room says so.
            with contextlib.suppress(OSError):
                self._wal_room_bytes = _grow(self._wal_path, used_bytes + WAL_GROWTH_BYTES)

    def _checkpoint(self, connection: apsw.Connection) -> None:
        """Empty the write-ahead log. A failure leaves it as it is, durable, to be tried again 4 MiB later."""
        fault_point("append:checkpoint")
        before = self._statistics
        try:
            with set_patience(connection, CHECKPOINT_BUSY_MS):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.Error as error:
            self._checkpoint_at_pages = self._wal_pages + _CHECKPOINT_PAGES
            self._statistics = dataclasses.replace(before, checkpoint_problem=str(error))
            return
        self._wal_pages = 0
        self._checkpoint_at_pages = _CHECKPOINT_PAGES
        self._statistics = dataclasses.replace(before, checkpoints=before.checkpoints + 1, checkpoint_problem=None)


def _grow(path: os.PathLike[str], target_bytes: int) -> int:
    """Fill a file with zeros up to ``target_bytes``, and return its size. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes < target_bytes:
            size_bytes += os.pwrite(descriptor, bytes(target_bytes - size_bytes), size_bytes)
        return size_bytes
    finally:
        os.close(descriptor)
