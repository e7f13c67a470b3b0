"""The SQLite file of an embedded log: how it is opened, what stands in it, and what its errors mean.

A table for each topic, a row for each batch. A row's key is the offset of the last value in it, so that "the batch
that holds offset n, and those after it" is one search by key. A log is only ever appended to, and trimmed at its
beginning: then table ``kept`` says where each topic begins, and the format is 2, so that no version reads it that would
miss what went.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import apsw

from crucible.errors import AppendUnknownError, LogCorruptError, LogError, LogRefusedError
from crucible.log.frame import NO_PREVIOUS
from crucible.log.head import slot_check
from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

DATABASE_NAME = "log.db"
WAL_NAME = "log.db-wal"
PAGE_BYTES = 4096
WAL_HEADER_BYTES = 32
WAL_FRAME_BYTES = 24 + PAGE_BYTES
FORMAT_VERSION = 1
TRIMMED_VERSION = 2
"""The format of a log that was trimmed."""
_APPLICATION_ID = 0x43525543
"""``CRUC``: how ``file`` and others know the file."""
_SQLITE_VERSION_MIN = 3_051_003
"""Before 3.51.3 a checkpoint that met a reset of the write-ahead log could lose committed rows."""
_BUSY_MS = 5_000
"""How long a connection waits for another one that repairs the index of the write-ahead log after a crash."""
CHECKPOINT_BUSY_MS = 100
"""How long a checkpoint waits for readers, while everyone who appends waits for it."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SYNC_FAILED = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})
_CUT_SHORT = frozenset({apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS})
_NOT_WRITABLE = (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)
_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, apsw.TooBigError, apsw.ConstraintError)
"""Our statements are fixed, so one that does not fit the tables, or its rows, has met damaged tables."""
COMMITTING = "committing to"
"""What is being done when an error of the disk leaves the outcome open."""
_SETTINGS = f"""
    PRAGMA busy_timeout={_BUSY_MS};
    PRAGMA synchronous=FULL;
    PRAGMA wal_autocheckpoint=0;
    PRAGMA cache_spill=OFF;
    PRAGMA cell_size_check=ON;
"""
_TABLES = "".join(
    f"CREATE TABLE {topic} (last INTEGER PRIMARY KEY, crc INTEGER NOT NULL, frame BLOB NOT NULL);" for topic in TOPICS
)
_CREATE = (
    f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={FORMAT_VERSION}; COMMIT;"
)
_KEPT = (
    "CREATE TABLE IF NOT EXISTS kept "
    "(topic TEXT PRIMARY KEY, first INTEGER NOT NULL, crc INTEGER NOT NULL, checked INTEGER NOT NULL)"
)
_LAST_ROW = {topic: f"SELECT last, crc FROM {topic} ORDER BY last DESC LIMIT 1" for topic in TOPICS}  # noqa: S608


def check_sqlite() -> None:
    """Raise ``LogRefusedError`` if the SQLite that apsw brings is one that loses data."""
    if apsw.SQLITE_VERSION_NUMBER < _SQLITE_VERSION_MIN:
        version = apsw.sqlite_lib_version()
        message = f"apsw brings SQLite {version}, which can lose committed rows; install apsw 3.51.3 or newer"
        raise LogRefusedError(message)


def connect(folder: Path, vfs: str | None) -> apsw.Connection:
    """A new connection to the log in ``folder``; the caller holds the log's lock. Raises ``apsw.Error``."""
    connection = apsw.Connection(str(folder / DATABASE_NAME), vfs=vfs)
    try:
        # A connection that closes must not write: what is there may be damaged and wait for its rescue.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute(_SETTINGS)
    except BaseException:
        connection.close()
        raise
    return connection


def create_or_check(connection: apsw.Connection, folder: Path) -> None:
    """Make the tables of a new log, or see that they are ours.

    Raises ``LogRefusedError`` for a log of another format, ``LogCorruptError`` for a file that is no log, and
    ``apsw.Error``.
    """
    if connection.execute("SELECT count(*) FROM sqlite_schema").get == 0:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}; PRAGMA journal_mode=WAL")
        connection.execute(_CREATE)
        return
    application_id = connection.pragma("application_id")
    if application_id != _APPLICATION_ID:
        message = f"{folder / DATABASE_NAME} is damaged or no log of Crucible (application id {application_id:#x})"
        raise LogCorruptError(message)
    version = connection.pragma("user_version")
    if version not in (FORMAT_VERSION, TRIMMED_VERSION):
        message = (
            f"{folder} holds a log of format {version}; "
            f"this version of Crucible reads formats {FORMAT_VERSION} and {TRIMMED_VERSION}"
        )
        raise LogRefusedError(message)


def last_row(connection: apsw.Connection, topic: Topic) -> tuple[int, int]:
    """End of a topic, and the CRC of its last frame. Raises ``apsw.Error``."""
    with rows_as_written():
        row = connection.execute(_LAST_ROW[topic]).fetchone()
        return (int(row[0]) + 1, int(row[1])) if row else kept_start(connection, topic)


def kept_start(connection: apsw.Connection, topic: Topic) -> tuple[int, int]:
    """Where a topic begins, and the CRC of the last frame before that. Raises ``apsw.Error``."""
    if connection.pragma("user_version") != TRIMMED_VERSION:
        return 0, NO_PREVIOUS
    with rows_as_written():
        row = connection.execute("SELECT first, crc, checked FROM kept WHERE topic = ?", (topic,)).fetchone()
        if row is None:
            return 0, NO_PREVIOUS
        start, crc, checked = map(int, row)
        if checked != slot_check(topic, start, crc):
            message = f"where {topic} begins does not match its checksum"
            raise ValueError(message)
        return start, crc


def set_kept_start(connection: apsw.Connection, topic: Topic, start: int, crc: int) -> None:
    """Let a topic begin elsewhere: what is before has gone in the same transaction. Raises ``apsw.Error``."""
    connection.execute(_KEPT)
    row = (topic, start, crc, slot_check(topic, start, crc))
    connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", row)
    connection.execute(f"PRAGMA user_version={TRIMMED_VERSION}")


@contextlib.contextmanager
def rows_as_written() -> Iterator[None]:
    """Raise ``apsw.CorruptError`` where a row holds values of other types than were written.

    One flipped bit in the header of a row makes a text of a blob, and of a text none that can be decoded.
    """
    try:
        yield
    except (UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
        message = f"a row holds values of another type than was written: {error}"
        raise apsw.CorruptError(message) from error


@contextlib.contextmanager
def set_patience(connection: apsw.Connection, busy_ms: int) -> Iterator[None]:
    """For a while, let a connection wait this long for others."""
    connection.set_busy_timeout(busy_ms)
    try:
        yield
    finally:
        connection.set_busy_timeout(_BUSY_MS)


def explain(error: apsw.Error, connection: apsw.Connection | None, doing: str, folder: Path) -> LogError:
    """What an error of SQLite means, as an error of ours that says what to do next.

    After ``AppendUnknownError`` the batches may stand in the log; after any other, nothing of them does.
    """
    place = f"{doing} the log in {folder}"
    extended = getattr(error, "extendedresult", 0)
    detail = str(error) or f"{type(error).__name__} {extended}"
    # The system's last error stays on a connection, so it means something only for an error of the system.
    system = connection.system_errno if connection is not None and isinstance(error, apsw.IOError) else 0
    if isinstance(error, apsw.FullError) or (system in _FULL and extended not in _SYNC_FAILED):
        return LogError(f"{place}: the disk is full; nothing of this was written. Free some space and go on")
    if isinstance(error, _NOT_WRITABLE):
        return LogError(f"{place}: it can't be opened for writing ({detail}); see who owns it and how it is mounted")
    if isinstance(error, _DAMAGED) or extended in _CUT_SHORT:
        return LogCorruptError(f"{place}: the database is damaged ({detail}). {rescue(folder)}")
    if isinstance(error, apsw.IOError) and doing == COMMITTING:
        return AppendUnknownError(f"{place}: the disk failed ({detail}); the batches may or may not be in the log")
    if isinstance(error, apsw.IOError):
        return LogError(f"{place}: the disk failed ({detail}); see the system's log")
    return LogError(f"{place}: SQLite refused ({type(error).__name__}: {detail})")


def rescue(folder: Path) -> str:
    """What to do about a damaged log, for the end of a message."""
    return f"Rescue what is whole into a new log: crucible log salvage {folder} TARGET"
