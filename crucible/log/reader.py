"""Reading an embedded log: bounded fetches whose frames must form the chain.

No cursor stays open between calls: an open one would keep the write-ahead log from ever being reset.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import apsw

from crucible.errors import LogCorruptError, LogError, LogTrimmedError
from crucible.log.database import kept_start, last_row, rescue, rows_as_written
from crucible.log.frame import NO_PREVIOUS, Frame, FrameError, follows, open_frame, stored_values
from crucible.log.protocol import READ_BYTES_MAX, TOPICS, Stored
from crucible.log.store import Store
from crucible.records.record import Topic

_FRAMES_FROM = {topic: f"SELECT last, frame FROM {topic} WHERE last >= ? ORDER BY last LIMIT ?" for topic in TOPICS}  # noqa: S608
_CRC_AT = {topic: f"SELECT crc FROM {topic} WHERE last = ?" for topic in TOPICS}  # noqa: S608
REMEMBERED_MAX = 64
"""Places of each topic at which readers stand, with the CRC that the next frame must name."""


class Reader:
    """Reads of one log, from any thread."""

    def __init__(self, store: Store) -> None:
        """Nothing is read yet."""
        self._store = store
        self._mutex = threading.Lock()
        self._expected: dict[Topic, dict[int, int]] = {topic: {} for topic in TOPICS}

    def end(self, topic: Topic) -> int:
        """The next offset. Raises ``LogCorruptError`` if acknowledged batches are gone."""
        known = self._store.head.read(topic)
        with self._store.reading() as connection:
            end, crc = last_row(connection, topic)
        self._store.check_end(topic, end, crc, known)
        return end

    def start(self, topic: Topic) -> int:
        """The kept start."""
        with self._store.reading() as connection:
            return kept_start(connection, topic)[0]

    def read(self, topic: Topic, offset: int, limit: int) -> list[Stored]:
        """Up to ``limit`` values from ``offset`` on, as ``Log.read``."""
        known = self._store.head.read(topic)
        with self._store.reading() as connection:
            rows = _fetch(connection, topic, offset, limit)
            if rows:
                return self._take(connection, topic, offset, limit, rows)
            end, crc = last_row(connection, topic)
            self._store.check_end(topic, end, crc, known)
            if offset == end:
                return []
            if offset > end or offset < 0:
                message = f"{topic}, partition 0: offset {offset} lies outside of the log, which ends at {end}"
                raise LogError(message)
            rows = _fetch(connection, topic, offset, limit)
            if not rows:
                _raise_if_trimmed(connection, topic, offset)
                raise self._corrupt(topic, offset, end - 1, "the batches are gone")
            return self._take(connection, topic, offset, limit, rows)

    def _take(
        self, connection: apsw.Connection, topic: Topic, offset: int, limit: int, rows: Sequence[tuple[int, bytes]]
    ) -> list[Stored]:
        """The values of rows whose frames are whole and follow each other."""
        expected = self._expected[topic].get(offset)
        stored: list[Stored] = []
        start = offset
        for last, data in rows:
            frame = self._open(topic, offset, last, data)
            if frame.first > offset:
                _raise_if_trimmed(connection, topic, offset)
            if expected is None:
                expected = self._previous_crc(connection, frame)
            if not follows(frame, offset, expected):
                raise self._corrupt(topic, *_gap(frame, offset), "the batch there does not follow the one before it")
            values = stored_values(frame, 0, offset, limit - len(stored))
            stored += values
            offset += len(values)
            expected = frame.crc
        self._remember(topic, start, offset, frame)
        return stored

    def _open(self, topic: Topic, offset: int, last: int, data: bytes) -> Frame:
        try:
            frame = open_frame(data)
        except FrameError as error:
            raise self._corrupt(topic, offset, max(offset, last), str(error)) from error
        if frame.topic != topic or frame.end != last + 1:
            raise self._corrupt(topic, offset, max(offset, last), "another batch stands in its place")
        return frame

    def _previous_crc(self, connection: apsw.Connection, frame: Frame) -> int:
        """What the frame must name as its predecessor, when the reader has not read that one."""
        if frame.first == 0:
            return NO_PREVIOUS
        with rows_as_written():
            crc = connection.execute(_CRC_AT[frame.topic], (frame.first - 1,)).get
            if crc is not None:
                return int(crc)
        start, crc = kept_start(connection, frame.topic)
        if frame.first <= start:  # below it: trimmed since the frame was fetched
            return crc if frame.first == start else frame.previous
        raise self._corrupt(frame.topic, frame.first - 1, frame.first - 1, "the batch is gone")

    def _remember(self, topic: Topic, start: int, offset: int, frame: Frame) -> None:
        """Move what is known for a reader at ``start`` to where it stands now."""
        expected = self._expected[topic]
        with self._mutex:
            expected.pop(start, None)
            if len(expected) >= REMEMBERED_MAX:
                del expected[next(iter(expected))]
            expected[offset] = frame.crc if offset == frame.end else frame.previous

    def _corrupt(self, topic: Topic, first: int, last: int, problem: str) -> LogCorruptError:
        message = (
            f"{topic}, partition 0, offsets {first} to {last}: {problem}, in the log in {self._store.folder}. "
            f"{rescue(self._store.folder)}"
        )
        return LogCorruptError(message)


def _raise_if_trimmed(connection: apsw.Connection, topic: Topic, offset: int) -> None:
    start, _ = kept_start(connection, topic)
    if 0 <= offset < start:
        message = f"{topic}, partition 0: offset {offset} was trimmed, the log begins at {start}"
        raise LogTrimmedError(message)


def _fetch(connection: apsw.Connection, topic: Topic, offset: int, limit: int) -> list[tuple[int, bytes]]:
    """Rows from the one that holds ``offset`` on: enough for ``limit`` values or ``READ_BYTES_MAX``."""
    rows: list[tuple[int, bytes]] = []
    size_bytes = 0
    with rows_as_written():
        cursor = connection.execute(_FRAMES_FROM[topic], (offset, limit))
        for last, data in cursor:
            rows.append((int(last), bytes(data)))
            size_bytes += len(data)
            if last >= offset + limit - 1 or size_bytes >= READ_BYTES_MAX:
                break
        cursor.close(force=True)
    return rows


def _gap(frame: Frame, offset: int) -> tuple[int, int]:
    """The offsets that are in doubt when ``frame`` is not what should stand at ``offset``."""
    return (offset, frame.first - 1) if frame.first > offset else (offset, max(offset, frame.end - 1))
