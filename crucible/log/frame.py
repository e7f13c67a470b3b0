"""One batch as bytes on disk: a frame that says what it is, where it stands, and which frame stands before it.

A frame is whole in itself, so that ``salvage`` finds it in raw pages when the database around it is damaged. Its
CRC-32C covers everything after itself, the previous frame's CRC included: frames of one topic form a chain, and one
that was altered, dropped or put in another place breaks it.

Layout, little endian: magic (4), CRC-32C (4), then ``_FIELDS``, the length of each value (4 each), the key in UTF-8,
and the values.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from crucible.log.protocol import TOPICS, Stored
from crucible.records.record import Topic

MAGIC = b"\xc7LB1"
"""How a frame of this version begins."""
NO_PREVIOUS = 0
"""What the first frame of a topic names as the CRC of its predecessor."""
_FIELDS = struct.Struct("<IIqQIHB")
"""Size of the whole frame, previous CRC, append time in microseconds, first offset, values, key bytes, topic."""
_CRC = struct.Struct("<I")
_CHECKED_FROM = len(MAGIC) + _CRC.size
HEADER_BYTES = _CHECKED_FROM + _FIELDS.size
_TOPIC_NUMBER = {topic: number for number, topic in enumerate(TOPICS)}


class FrameError(Exception):
    """Bytes that are no whole frame. The engine turns it into ``LogCorruptError``, which says where."""


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """The part of a frame that does not depend on where it will stand: made before the lock is taken."""

    topic: Topic
    count: int
    key_bytes: int
    tail: bytes


class Frame(NamedTuple):
    """A frame whose CRC holds."""

    topic: Topic
    first: int
    """Offset of the first value."""
    value_count: int
    appended_at_us: int
    previous: int
    """CRC of the frame before it in its topic."""
    crc: int
    key_bytes: int
    data: bytes
    """All bytes of the frame."""

    @property
    def end(self) -> int:
        """The offset after its last value."""
        return self.first + self.value_count


def make_body(topic: Topic, key: str, values: Sequence[bytes]) -> Body:
    """The lengths, key and values of a batch."""
    key_utf8 = key.encode()
    count = len(values)
    lengths = struct.pack(f"<{count}I", *map(len, values))
    return Body(topic, count, len(key_utf8), b"".join((lengths, key_utf8, *values)))


def seal(body: Body, first: int, previous: int, appended_at_us: int) -> tuple[bytes, int]:
    """The frame of a batch that begins at offset ``first`` after the frame with CRC ``previous``; and its own CRC."""
    size_bytes = HEADER_BYTES + len(body.tail)
    number = _TOPIC_NUMBER[body.topic]
    fields = _FIELDS.pack(size_bytes, previous, appended_at_us, first, body.count, body.key_bytes, number)
    crc: int = google_crc32c.extend(google_crc32c.value(fields), body.tail)
    return b"".join((MAGIC, _CRC.pack(crc), fields, body.tail)), crc


def open_frame(data: bytes) -> Frame:
    """The frame in ``data``. Raises ``FrameError`` unless its length fits and its CRC holds."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        message = "it does not begin as a batch does"
        raise FrameError(message)
    (crc,) = _CRC.unpack_from(data, len(MAGIC))
    if not is_intact(crc, data):
        message = "its checksum does not match"
        raise FrameError(message)
    size_bytes, previous, appended_at_us, first, count, key_bytes, number = _FIELDS.unpack_from(data, _CHECKED_FROM)
    if size_bytes != len(data) or number >= len(TOPICS):
        message = "its length or its topic is impossible"
        raise FrameError(message)
    return Frame(TOPICS[number], first, count, appended_at_us, previous, crc, key_bytes, data)


def is_intact(crc: int, data: bytes) -> bool:
    """Whether the CRC of a frame holds."""
    return bool(google_crc32c.value(data[_CHECKED_FROM:]) == crc)


def follows(frame: Frame, offset: int, previous: int | None) -> bool:
    """Whether a frame is the one at ``offset`` after the frame with CRC ``previous`` (None: not known)."""
    return frame.first <= offset < frame.end and (previous is None or frame.previous == previous)


def stored_values(frame: Frame, partition: int, offset: int, limit: int) -> list[Stored]:
    """Up to ``limit`` values of a frame from ``offset`` on."""
    data = frame.data
    if frame.value_count == 1:  # most events: the value is all that stands behind the key
        at = HEADER_BYTES + 4 + frame.key_bytes
        key = data[HEADER_BYTES + 4 : at].decode()
        return [Stored(frame.topic, partition, offset, key, data[at:], frame.appended_at_us)] if limit > 0 else []
    lengths = struct.unpack_from(f"<{frame.value_count}I", data, HEADER_BYTES)
    at = HEADER_BYTES + 4 * frame.value_count
    key = data[at : at + frame.key_bytes].decode()
    at += frame.key_bytes
    skipped = offset - frame.first
    at += sum(lengths[:skipped])
    stored = []
    for number, length in enumerate(lengths[skipped : skipped + limit], start=offset):
        value = data[at : at + length]
        stored.append(Stored(frame.topic, partition, number, key, value, frame.appended_at_us))
        at += length
    return stored


def tail_of(frame: Frame) -> bytes:
    """The part of a frame that does not depend on where it stands, as in ``Body``."""
    return frame.data[HEADER_BYTES:]


def claimed_bytes(start: bytes) -> int | None:
    """How long the frame says it is that ``start`` begins; None unless a whole header is there."""
    if len(start) < HEADER_BYTES or not start.startswith(MAGIC):
        return None
    return int(_FIELDS.unpack_from(start, _CHECKED_FROM)[0])


def frame_crc(start: bytes) -> int:
    """The CRC that the frame says it has that ``start`` begins."""
    return int(_CRC.unpack_from(start, len(MAGIC))[0])
