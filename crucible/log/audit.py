"""The audit of an embedded log: every row is read as it is written, and every fault is named, not only the first.

Readers follow the frames alone and stop at the first that is wrong. An audit goes on behind it, and also compares what
only some readers use: the key and the checksum beside each frame, and the head.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from crucible.errors import LogError
from crucible.log.database import explain, kept_start, rows_as_written
from crucible.log.frame import Frame, FrameError, open_frame
from crucible.log.protocol import READ_BYTES_MAX, TOPICS
from crucible.log.store import Store
from crucible.records.record import Topic

_ROWS = {topic: f"SELECT last, crc, frame FROM {topic} WHERE last > ? ORDER BY last" for topic in TOPICS}  # noqa: S608
_FIRST = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """Something in the log that is not as it was appended."""

    topic: Topic
    first: int
    """First offset in doubt."""
    last: int
    """Last offset in doubt."""
    problem: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.topic}, partition 0, offsets {self.first} to {self.last}: {self.problem}"


def audit(folder: Path, visit: Callable[[Frame], None]) -> list[Fault]:
    """Read every row of the log in ``folder`` and give each whole frame to ``visit``; what is wrong.

    Raises ``LogCorruptError`` if the log can't be opened at all, and ``LogError``.
    """
    store = Store(folder, None)
    try:
        faults: list[Fault] = []
        for topic in TOPICS:
            try:
                faults += _audit_topic(store, topic, visit)
            except LogError as error:
                end, _ = store.head.read(topic) or (1, 0)
                faults.append(Fault(topic, 0, end - 1, str(error)))
        return faults
    finally:
        store.close()


def _audit_topic(store: Store, topic: Topic, visit: Callable[[Frame], None]) -> Iterator[Fault]:
    known = store.head.read(topic)
    end, expected = _start(store, topic)
    is_known = True
    """Whether the frame before is whole, so that the next one must name it."""
    for last, crc, data in _rows(store, topic):
        try:
            frame = open_frame(data)
        except FrameError as error:
            yield Fault(topic, end, max(end, last), str(error))
            end, is_known = last + 1, False
            continue
        if frame.topic != topic or frame.end != last + 1:
            yield Fault(topic, end, max(end, last), "another batch stands in its place")
        elif frame.first > end and frame.first > _start(store, topic)[0]:  # else it was trimmed meanwhile
            yield Fault(topic, end, frame.first - 1, "the batches are gone")
        elif frame.first < end or (frame.first == end and is_known and frame.previous != expected):
            yield Fault(topic, frame.first, last, "the batch does not follow the one before it")
        if crc != frame.crc:
            yield Fault(topic, frame.first, last, "the checksum beside the batch is not that of the batch")
        visit(frame)
        end, expected, is_known = last + 1, frame.crc, True
    if known is not None and (end < known[0] or (end == known[0] and is_known and expected != known[1])):
        yield Fault(topic, min(end, known[0] - 1), known[0] - 1, "batches that were acknowledged are not there")


def _start(store: Store, topic: Topic) -> tuple[int, int]:
    with store.reading() as connection:
        return kept_start(connection, topic)


def _rows(store: Store, topic: Topic) -> Iterator[tuple[int, int, bytes]]:
    """Every row, in bounded fetches: no cursor stays open while frames are looked at."""
    after = _FIRST
    while True:
        page: list[tuple[int, int, bytes]] = []
        size_bytes = 0
        with store.reading() as connection:
            try:
                with rows_as_written():
                    cursor = connection.execute(_ROWS[topic], (after,))
                    for last, crc, data in cursor:
                        page.append((int(last), int(crc), bytes(data)))
                        size_bytes += len(data)
                        if size_bytes >= READ_BYTES_MAX:
                            break
                    cursor.close(force=True)
            except apsw.Error as error:
                raise explain(error, connection, "reading", store.folder) from error
        if not page:
            return
        yield from page
        after = page[-1][0]
