"""Frames found in the raw pages of a damaged log: no database is asked, only the bytes and their checksums.

Every page of the database file and every page image in the write-ahead log is searched, whatever the database thinks
of it: behind a damaged frame, from before the last checkpoint, or cut off. What is found is decided by its CRC alone.

The layout is that of SQLite's file format (sqlite.org/fileformat2.html, sections 1.5, 1.6, 2.1 and 4.1): a row that
does not fit into its page goes on in a chain of overflow pages. Rows of a log are never changed or deleted, so any
image of an overflow page that is not damaged is the right one.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crucible.log.database import DATABASE_NAME, PAGE_BYTES, WAL_FRAME_BYTES, WAL_HEADER_BYTES, WAL_NAME
from crucible.log.frame import HEADER_BYTES, MAGIC, Frame, FrameError, claimed_bytes, frame_crc, open_frame
from crucible.log.protocol import BATCH_BYTES_MAX, BATCH_VALUES_MAX, KEY_BYTES_MAX

_FRAME_BYTES_MAX = HEADER_BYTES + 4 * BATCH_VALUES_MAX + KEY_BYTES_MAX + BATCH_BYTES_MAX
_LOCAL_MAX = PAGE_BYTES - 35
"""A row of at most this many bytes has no overflow pages."""
_LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
"""A row with overflow pages has at least this many bytes in its own page."""
_OVERFLOW_BYTES = PAGE_BYTES - 4
_WAL_PAGE_AT = WAL_FRAME_BYTES - PAGE_BYTES
_ASSEMBLIES_MAX = 256
"""How many ways to put a row together are tried."""
_INTEGER_BYTES = ((2, 8, 0), (1 << 7, 1, 1), (1 << 15, 2, 2), (1 << 23, 3, 3), (1 << 31, 4, 4), (1 << 47, 5, 6))
"""For an integer below the first number: its serial type, and its bytes; 0 and 1 are types of their own, 8 and 9."""


class Found(NamedTuple):
    """A frame whose CRC holds, and how it was found."""

    frame: Frame
    is_row: bool
    """Whether what stands before it says that it is a row; otherwise it may be part of a value."""


class Pages:
    """The pages of a log's two files, as they are."""

    def __init__(self, folder: Path) -> None:
        """Map both files, read-only. Raises ``OSError``."""
        self._database = _map(folder / DATABASE_NAME)
        self._wal = _map(folder / WAL_NAME)
        self._versions: dict[int, list[int]] = {}
        """For each page, where the write-ahead log has images of it, the best last."""
        before = 0
        for at in range(WAL_HEADER_BYTES, len(self._wal), WAL_FRAME_BYTES):
            page = int.from_bytes(self._wal[at : at + 4], "big")
            self._versions.setdefault(page, []).append(at + _WAL_PAGE_AT)
            if page != before + 1:
                # Pages of a long row follow each other, so this may be the next one under a damaged number.
                self._versions.setdefault(before + 1, []).insert(0, at + _WAL_PAGE_AT)
            before = page

    def find(self) -> Iterator[Found]:
        """Every whole frame, those of the write-ahead log first, newest last; one that stands twice is given twice."""
        for at in _places(self._wal):
            offset = (at - WAL_HEADER_BYTES) % WAL_FRAME_BYTES - _WAL_PAGE_AT
            if at >= WAL_HEADER_BYTES and offset >= 0:
                yield from self._found(self._wal[at - offset : at - offset + PAGE_BYTES], offset)
        for at in _places(self._database):
            offset = at % PAGE_BYTES
            yield from self._found(self._database[at - offset : at - offset + PAGE_BYTES], offset)

    def _found(self, page: bytes, offset: int) -> Iterator[Found]:
        size_bytes = claimed_bytes(page[offset : offset + HEADER_BYTES])
        if size_bytes is None or not HEADER_BYTES <= size_bytes <= _FRAME_BYTES_MAX:
            return
        start = _record_start(frame_crc(page[offset : offset + HEADER_BYTES]), size_bytes)
        local = _local_bytes(len(start) + size_bytes) - len(start)
        here = page[offset : offset + min(local, size_bytes)]
        for data in [here] if local >= size_bytes else self._assemble(page, offset + local, here, size_bytes):
            try:
                frame = open_frame(data)
            except FrameError:
                continue
            yield Found(frame, page[:offset].endswith(_row_start(frame, start)))
            return

    def _assemble(self, page: bytes, pointer_at: int, here: bytes, size_bytes: int) -> Iterator[bytes]:
        """Ways to put a row together that goes on in other pages, the likeliest first."""
        first = int.from_bytes(page[pointer_at : pointer_at + 4], "big")
        data, chain = self._follow(here, first, size_bytes, {})
        yield data
        # A damaged page of the chain may stand elsewhere unharmed; one that points astray stood before its neighbour.
        tried = 1
        for at, number in enumerate(chain):
            for choice in range(1, len(self._images(number))):
                yield self._follow(here, first, size_bytes, {number: choice})[0]
                tried += 1
            yield self._follow(here, first, size_bytes, {}, straight_after=at)[0]
            tried += 1
            if tried > _ASSEMBLIES_MAX:
                return

    def _follow(
        self, here: bytes, first: int, size_bytes: int, choices: dict[int, int], straight_after: int | None = None
    ) -> tuple[bytes, list[int]]:
        """The row along its chain of overflow pages, and the chain.

        ``choices`` says which image of a page to take; from the ``straight_after``-th page on, the next page is taken
        to be the next in number.
        """
        parts, chain, number = [here], [], first
        missing = size_bytes - len(here)
        while missing > 0 and number > 0:
            images = self._images(number)
            if not images:
                break
            image = images[min(choices.get(number, 0), len(images) - 1)]
            chain.append(number)
            parts.append(image[4 : 4 + min(missing, _OVERFLOW_BYTES)])
            missing -= _OVERFLOW_BYTES
            is_straight = straight_after is not None and len(chain) > straight_after
            number = number + 1 if is_straight else int.from_bytes(image[:4], "big")
        return b"".join(parts), chain

    def _images(self, number: int) -> list[bytes]:
        """What a page holds according to the write-ahead log, newest first, and to the database; each content once."""
        images = [self._wal[at : at + PAGE_BYTES] for at in reversed(self._versions.get(number, ()))]
        images.append(self._database[(number - 1) * PAGE_BYTES : number * PAGE_BYTES])
        return list(dict.fromkeys(image for image in images if len(image) > 4))  # noqa: PLR2004  more than a pointer

    def close(self) -> None:
        """Unmap the files."""
        for mapped in (self._database, self._wal):
            if isinstance(mapped, mmap.mmap):
                mapped.close()


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        if os.fstat(descriptor).st_size == 0:
            return b""
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _places(mapped: mmap.mmap | bytes) -> Iterator[int]:
    at = mapped.find(MAGIC)
    while at >= 0:
        yield at
        at = mapped.find(MAGIC, at + 1)


def _local_bytes(record_bytes: int) -> int:
    """How many bytes of a row stand in its own page (section 1.6)."""
    if record_bytes <= _LOCAL_MAX:
        return record_bytes
    fitting = _LOCAL_MIN + (record_bytes - _LOCAL_MIN) % _OVERFLOW_BYTES
    return fitting if fitting <= _LOCAL_MAX else _LOCAL_MIN


def _record_start(crc: int, size_bytes: int) -> bytes:
    """What stands before a frame in its record (section 2.1): header size, types of last, crc and frame, and crc."""
    serial_type, crc_bytes = next((serial, length) for below, serial, length in _INTEGER_BYTES if crc < below)
    if crc_bytes == 0:
        serial_type += crc
    types = b"\0" + bytes([serial_type]) + _varint(2 * size_bytes + 12)
    return bytes([1 + len(types)]) + types + crc.to_bytes(6, "big")[6 - crc_bytes :]


def _row_start(frame: Frame, record_start: bytes) -> bytes:
    """What stands before a frame in its cell: size of the record, key of the row, and the record's start."""
    return _varint(len(record_start) + len(frame.data)) + _varint(frame.end - 1) + record_start


def _varint(number: int) -> bytes:
    """An integer of SQLite's variable length, most significant bits first; up to 2^56."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
