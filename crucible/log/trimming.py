"""Trimming an embedded log: its oldest batches go, and where a topic begins is said in the same transaction.

Offsets stay as they are. The CRC of the last batch that went is kept, so that the first one left still has a batch to
follow, and the chain holds across the border. All happens under the log's lock, in steps of bounded size: who appends
waits for one step at most, and a kill leaves a log that begins at the last step's border.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import apsw

from crucible.errors import LogError
from crucible.faults import fault_point
from crucible.log.database import COMMITTING, PAGE_BYTES, explain, kept_start, last_row, rows_as_written, set_kept_start
from crucible.log.store import Store
from crucible.records.record import Topic

STEP_BYTES: Final = 32 * 1024 * 1024
"""Bytes of batches that go in one transaction."""
STEP_BATCHES: Final = 20_000
COMPACT_BYTES_MAX: Final = 64 * 1024 * 1024
"""The file is made smaller only if no more than this is left in it: meanwhile nobody can append."""


def trim_topic(store: Store, topic: Topic, offset: int) -> int:
    """Remove the batches of a topic whose values all lie below ``offset``; where it begins now. Raises ``LogError``."""
    has_gone = False
    while True:
        with store.lock, _connected(store) as connection:
            start, is_done = _step(store, connection, topic, offset)
            if is_done:
                if has_gone:
                    _compact(connection)
                return start
            has_gone = True


@contextlib.contextmanager
def _connected(store: Store) -> Iterator[apsw.Connection]:
    connection = store.connect()
    try:
        yield connection
    finally:
        store.discard(connection)


def _step(store: Store, connection: apsw.Connection, topic: Topic, offset: int) -> tuple[int, bool]:
    """Remove some batches; where the topic begins then, and whether nothing is left to be removed."""
    doing = "trimming"
    try:
        connection.execute("BEGIN IMMEDIATE")
        start, _ = kept_start(connection, topic)
        end, _ = last_row(connection, topic)
        if offset > end:
            message = f"{topic}, partition 0: offset {offset} lies outside of the log, which ends at {end}"
            raise LogError(message)
        found = _oldest(connection, topic, offset)
        if found is None:
            connection.execute("ROLLBACK")
            return start, True
        last, crc = found
        connection.execute(f"DELETE FROM {topic} WHERE last <= ?", (last,))  # noqa: S608
        set_kept_start(connection, topic, last + 1, crc)
        fault_point("trim:before-commit")
        doing = COMMITTING
        connection.execute("COMMIT")
    except apsw.Error as error:
        raise explain(error, connection, doing, store.folder) from error
    fault_point("trim:committed")
    store.head.write_start(topic, last + 1, crc)
    with contextlib.suppress(apsw.Error):  # a reader is in the way: the next append tries again
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    return last + 1, False


def _oldest(connection: apsw.Connection, topic: Topic, offset: int) -> tuple[int, int] | None:
    """Last offset and CRC of the last batch that goes in this step; None if none does."""
    query = f"SELECT last, crc, length(frame) FROM {topic} WHERE last < ? ORDER BY last LIMIT ?"  # noqa: S608
    found: tuple[int, int] | None = None
    size_bytes = 0
    with rows_as_written():
        cursor = connection.execute(query, (offset, STEP_BATCHES))
        for last, crc, frame_bytes in cursor:
            found = (int(last), int(crc))
            size_bytes += int(frame_bytes)
            if size_bytes >= STEP_BYTES:
                break
        cursor.close(force=True)
    return found


def _compact(connection: apsw.Connection) -> None:
    """Give free pages back to the file system, if that is quick; else later appends use them."""
    free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
    if free and (pages - free) * PAGE_BYTES <= COMPACT_BYTES_MAX:
        # What fails here fails for want of room or patience, and changes nothing.
        with contextlib.suppress(apsw.Error):
            connection.execute("VACUUM")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
