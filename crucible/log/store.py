"""The folder of an embedded log as its readers and its appender share it: files, lock and connections.

Opening, appending, checkpointing and closing happen under the lock, so that no connection of SQLite ever repairs,
resets or leaves the write-ahead log while another one is at it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from crucible.errors import LogCorruptError, LogError, LogRefusedError
from crucible.log.bell import Bell
from crucible.log.database import (
    DATABASE_NAME,
    WAL_NAME,
    check_sqlite,
    connect,
    create_or_check,
    explain,
    kept_start,
    last_row,
    rescue,
)
from crucible.log.filesystem import check_file_system
from crucible.log.head import Head
from crucible.log.lock import FileLock
from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

LOCK_WAIT_S = 60.0
"""How long opening a log waits for a process that holds its lock."""
PATH_BYTES_MAX = 480
"""SQLite opens no file whose path has more than 512 bytes (``MAX_PATHNAME`` in its os_unix.c)."""
IDLE_MAX = 4
"""Connections kept for the next reader; more are opened when more threads read at once."""


class Store:
    """An open folder. Every method may be called from any thread; closing is for the last one."""

    def __init__(self, folder: Path, vfs: str | None) -> None:
        """Open the folder, or make a log in it.

        Raises ``LogRefusedError`` for a place that a log does not take, ``LogCorruptError`` for a log that lacks
        what was acknowledged, and ``LogError`` if the disk fails.
        """
        check_sqlite()
        check_file_system(folder)
        path_bytes = len(os.fsencode(folder.absolute()))
        if path_bytes > PATH_BYTES_MAX:
            message = (
                f"{folder}: the path has {path_bytes} bytes, SQLite takes {PATH_BYTES_MAX} for a log's folder: "
                "choose a shorter one with CRUCIBLE_LOG"
            )
            raise LogRefusedError(message)
        self.folder = folder
        self._vfs = vfs
        self._connections: set[apsw.Connection] = set()
        self._idle: list[apsw.Connection] = []
        try:
            with contextlib.ExitStack() as undo:
                self._open(undo)
                undo.pop_all()
        except OSError as error:
            message = (
                f"the log in {folder} can't be opened: {error.strerror or error}. "
                "Make the folder writable, free some space, or choose another place with CRUCIBLE_LOG"
            )
            raise LogRefusedError(message) from error

    def _open(self, undo: contextlib.ExitStack) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.folder / "lock")
        undo.callback(self.lock.close)
        with self.lock.within(LOCK_WAIT_S):
            self._refuse_lost_database()
            self.head = Head(self.folder / "head")
            undo.callback(self.head.close)
            self.bell = Bell(self.folder / "bell")
            undo.callback(self.bell.close)
            self._idle.append(self.connect())

    def connect(self) -> apsw.Connection:
        """A new connection to a log that holds all that was acknowledged; the caller holds the lock.

        Raises as the constructor does.
        """
        try:
            connection = connect(self.folder, self._vfs)
        except apsw.Error as error:
            raise explain(error, None, "opening", self.folder) from error
        self._connections.add(connection)
        try:
            create_or_check(connection, self.folder)
            for topic in TOPICS:
                self.checked_end(connection, topic)
                start, crc = kept_start(connection, topic)
                if start:
                    self.head.write_start(topic, start, crc)
        except apsw.Error as error:
            explained = explain(error, connection, "opening", self.folder)
            self.discard(connection)
            raise explained from error
        except BaseException:
            self.discard(connection)
            raise
        return connection

    def checked_end(self, connection: apsw.Connection, topic: Topic) -> tuple[int, int]:
        """End of a topic and CRC of its last frame; what only the database knows goes to the head.

        The caller holds the lock. Raises ``LogCorruptError`` if acknowledged batches are gone, and ``apsw.Error``.
        """
        end, crc = last_row(connection, topic)
        known = self.head.read(topic)
        if known != (end, crc):
            self.check_end(topic, end, crc, known)
            self.head.write(topic, end, crc)
        return end, crc

    def check_end(self, topic: Topic, end: int, crc: int, known: tuple[int, int] | None) -> None:
        """Raise ``LogCorruptError`` if the database ends before what the head knew earlier, or in another frame."""
        if known is None or end > known[0] or known == (end, crc):
            return
        first = end if end < known[0] else end - 1
        cause = "the machine has started again since: its disk lost what it had confirmed, or is damaged"
        message = (
            f"{topic}, partition 0, offsets {first} to {known[0] - 1}: batches that were acknowledged are not in the "
            f"log in {self.folder} ({cause if self.head.was_rebooted else 'the database is damaged'}). "
            f"{rescue(self.folder)}"
        )
        raise LogCorruptError(message)

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection to read with. Errors of SQLite leave as ``LogError`` or ``LogCorruptError``."""
        try:
            connection = self._idle.pop()
        except IndexError:
            with self.lock:
                connection = self.connect()
        try:
            yield connection
        except apsw.Error as error:
            explained = explain(error, connection, "reading", self.folder)
            with self.lock:
                self.discard(connection)
            raise explained from error
        except LogError:
            self._give_back(connection)
            raise
        except BaseException:
            with self.lock:
                self.discard(connection)
            raise
        self._give_back(connection)

    def _give_back(self, connection: apsw.Connection) -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
            return
        with self.lock:
            self.discard(connection)

    def discard(self, connection: apsw.Connection) -> None:
        """Close a connection, which writes nothing by that; the caller holds the lock."""
        self._connections.discard(connection)
        connection.close(force=True)

    def close(self) -> None:
        """Close everything; nobody uses it any more."""
        with self.lock:
            for connection in tuple(self._connections):
                self.discard(connection)
        self._idle.clear()
        self.bell.close()
        self.head.close()
        self.lock.close()

    def abandon(self) -> None:
        """In a forked child: give back what would hold the parent's lock, and never touch its connections."""
        for connection in self._connections:
            # Closing an inherited connection would disturb the parent's database: keep it for ever instead.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self.bell.close()
        self.lock.close()

    def _refuse_lost_database(self) -> None:
        """SQLite deletes a write-ahead log that stands beside an empty database: it may be all that is left."""
        database, wal = self.folder / DATABASE_NAME, self.folder / WAL_NAME
        if wal.exists() and wal.stat().st_size > 0 and not (database.exists() and database.stat().st_size > 0):
            message = f"{database} is gone or empty, though {wal.name} holds something. {rescue(self.folder)}"
            raise LogCorruptError(message)


def raise_if_unknown(topic: Topic, partition: int) -> None:
    """Raise ``LogError`` for a partition that an embedded log does not have."""
    if topic not in TOPICS or partition != 0:
        message = f"an embedded log has no partition {partition} of {topic!r}, only partition 0 of {', '.join(TOPICS)}"
        raise LogError(message)
