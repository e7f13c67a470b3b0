"""The head of an embedded log: a small file that remembers what was acknowledged, so that missing rows are noticed.

SQLite drops the rest of a write-ahead log behind a damaged frame without a word: rows vanish from the end, where no
later row can miss them. So whoever appends writes the end of the topic and its last CRC here, after COMMIT and
before anyone is told. A database that ends before its head has lost acknowledged batches.

It remembers as well where each topic begins that was trimmed, for the rescue of a log whose database is damaged.

What it can say: it is written only after the database was synced, and so never runs ahead of an honest disk, power
loss included. What it can't: it is not synced itself, so after power loss it may be older than the database, or not
readable, and then says nothing; then rows that a damaged write-ahead log drops from the very end go unnoticed, while
altered rows never do. The id of the machine's boot is kept so that the error can tell a damaged file from a disk
that did not keep what it had confirmed.

The file is mapped: neither reading nor writing it is a system call. Every slot carries a CRC, so a reader that meets
a slot while it is being written gets None, as if nothing were known.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from pathlib import Path

import google_crc32c

from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

_MAGIC = b"CRUHEAD1"
_BOOT_ID_BYTES = 36
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_SLOTS_AT = 64
_SLOT = struct.Struct("<QII")
"""End of the topic, CRC of its last frame, CRC of this slot."""
_CHECKED = struct.Struct("<QIB")
"""What the slot's CRC covers: end, CRC, number of the topic."""
_STARTS_AT = _SLOTS_AT + len(TOPICS) * _SLOT.size
"""Where the slots of the kept starts are; in them the CRC is that of the last frame before the start."""
HEAD_BYTES = 256


class Head:
    """The mapped head file of a log. Only the holder of the log's lock writes."""

    def __init__(self, path: Path) -> None:
        """Map the file, or make an empty one; the caller holds the lock. Raises ``OSError``."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size_bytes = os.fstat(descriptor).st_size
            missing_bytes = HEAD_BYTES - size_bytes
            if missing_bytes > 0 and os.pwrite(descriptor, bytes(missing_bytes), size_bytes) < missing_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            self._map = mmap.mmap(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)
        self._slot_at = {topic: _SLOTS_AT + number * _SLOT.size for number, topic in enumerate(TOPICS)}
        self._start_at = {topic: _STARTS_AT + number * _SLOT.size for number, topic in enumerate(TOPICS)}
        boot_id = _read_boot_id()
        before = self._map[len(_MAGIC) : len(_MAGIC) + _BOOT_ID_BYTES]
        self.was_rebooted = self._map[: len(_MAGIC)] == _MAGIC and before != boot_id
        """Whether the machine has started again since the file was last opened."""
        self._map[: len(_MAGIC) + _BOOT_ID_BYTES] = _MAGIC + boot_id

    def read(self, topic: Topic) -> tuple[int, int] | None:
        """End of the topic and CRC of its last frame, as acknowledged; None if that is not known."""
        at = self._slot_at[topic]
        end, crc, check = _SLOT.unpack(self._map[at : at + _SLOT.size])
        return (end, crc) if check == slot_check(topic, end, crc) else None

    def write(self, topic: Topic, end: int, crc: int) -> None:
        """Remember the end of a topic and the CRC of its last frame."""
        at = self._slot_at[topic]
        self._map[at : at + _SLOT.size] = _SLOT.pack(end, crc, slot_check(topic, end, crc))

    def write_start(self, topic: Topic, start: int, crc: int) -> None:
        """Remember the kept start of a topic and the CRC of the last frame before it."""
        at = self._start_at[topic]
        self._map[at : at + _SLOT.size] = _SLOT.pack(start, crc, slot_check(topic, start, crc))

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()


def read_head(path: Path) -> dict[Topic, tuple[int, int]]:
    """What a head file says, without touching it: end and last CRC of each topic that it knows."""
    return _read_slots(path, _SLOTS_AT)


def read_starts(path: Path) -> dict[Topic, tuple[int, int]]:
    """What a head file says of trimmed topics: kept start, and CRC of the last frame before it."""
    return {topic: known for topic, known in _read_slots(path, _STARTS_AT).items() if known[0]}


def slot_check(topic: Topic, offset: int, crc: int) -> int:
    """A checksum over what is remembered of a topic."""
    return int(google_crc32c.value(_CHECKED.pack(offset, crc, TOPICS.index(topic))))


def _read_slots(path: Path, slots_at: int) -> dict[Topic, tuple[int, int]]:
    try:
        data = path.read_bytes().ljust(HEAD_BYTES, b"\0")
    except OSError:
        return {}
    known = {}
    for number, topic in enumerate(TOPICS):
        offset, crc, check = _SLOT.unpack_from(data, slots_at + number * _SLOT.size)
        if check == slot_check(topic, offset, crc):
            known[topic] = (offset, crc)
    return known


def _read_boot_id() -> bytes:
    try:
        return _BOOT_ID_FILE.read_bytes()[:_BOOT_ID_BYTES].ljust(_BOOT_ID_BYTES)
    except OSError:
        return b"unknown".ljust(_BOOT_ID_BYTES)
