"""One spool as a drain sees it: what is new in it, up to where the log has it, and when it may go."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from pathlib import Path

from crucible.blobs import BlobStore
from crucible.errors import SpoolError
from crucible.journal import Journal
from crucible.producers.batches import POINTS_MAX, SpoolRecords
from crucible.records.record import Record
from crucible.spool.layout import LOCK_FILE, META_FILE, NEW_PREFIX, OLD_PREFIX, SpoolMeta, spool_id
from crucible.spool.lock import HeldLock, is_free
from crucible.spool.reader import FRAME_READ_BYTES, FrameCursor, FrameReader, MetricReader

POINTS_PER_PASS = 4 * POINTS_MAX
"""Most points that one pass takes from a spool, so that no spool waits long for another."""

NEW_AGE_S = 600.0
"""A folder that is being made for longer than this belongs to a process that was killed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What one pass took from a spool: records, and where the spool stands once they are on the log."""

    records: list[Record]
    points: int
    cursor: FrameCursor | None
    frame_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing."""
        return not self.records and not self.points

    @property
    def is_backlog(self) -> bool:
        """Whether there is more."""
        return self.points >= POINTS_PER_PASS or self.frame_bytes >= FRAME_READ_BYTES // 2


class DrainedSpool:
    """Reads one spool for the log. ``take`` and ``acknowledge`` belong to the drain's thread."""

    def __init__(self, folder: Path, meta: SpoolMeta, lock: HeldLock | None) -> None:
        """Read ``folder``; ``lock`` is that of its meta data, None if another drain has it: then nothing is removed."""
        self.folder = folder
        self.meta = meta
        self._lock = lock
        self._metrics = MetricReader(folder, entries_per_segment=meta.entries_per_segment)
        self._frames = FrameReader(folder)

    @classmethod
    def open(cls, folder: Path) -> DrainedSpool | None:
        """The spool in ``folder``; None if there is none (yet). Raises ``SpoolError`` if it can't be read."""
        try:
            meta = SpoolMeta.read(folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(folder, meta, HeldLock.take(folder / META_FILE))

    @classmethod
    def adopt(cls, folder: Path) -> DrainedSpool | None:
        """The spool in ``folder`` if its writer is gone and no other drain has it. Raises as ``open``."""
        if not is_free(folder / LOCK_FILE):
            return None
        lock = HeldLock.take(folder / META_FILE)
        if lock is None:
            return None
        try:
            return cls(folder, SpoolMeta.read(folder), lock)
        except FileNotFoundError:
            lock.release()
            return None

    def end(self) -> dict[str, int]:
        """For each channel, the next sequence of the writer. May be called from any thread."""
        return {spool_id(self.folder, "m"): self._metrics.end(), spool_id(self.folder, "r"): self._frames.end()}

    def acknowledged(self) -> dict[str, int]:
        """For each channel, the sequence below which everything is on the log. May be called from any thread."""
        return {
            spool_id(self.folder, "m"): self._metrics.sequence,
            spool_id(self.folder, "r"): self._frames.cursor.sequence,
        }

    def take(self, journal: Journal, blobs: BlobStore) -> Taken:
        """Records of what is new. Raises ``StorageError`` if a blob can't be written: take again later."""
        make = SpoolRecords(journal, blobs, self.meta)
        try:
            records, points = self._take_points(make)
            frames, cursor = self._frames.read()
        except SpoolError:
            if self.is_gone():  # removed while we were reading
                return Taken([], 0, None)
            raise
        records += make.of_frames(frames, spool_id=spool_id(self.folder, "r"))
        return Taken(records, points, cursor, sum(frame.size_bytes for frame in frames))

    def acknowledge(self, taken: Taken) -> None:
        """What was taken is on the log: go on behind it."""
        if taken.cursor is not None:
            self._frames.advance(taken.cursor)
        self._metrics.advance(taken.points)

    def remove_read(self, taken: Taken) -> None:
        """Remove the segments that are on the log as a whole, unless another drain has the spool."""
        if self._lock is not None and taken.points:
            self._metrics.remove_read()
        if self._lock is not None and taken.frame_bytes:
            self._frames.remove_read()

    def is_orphan(self) -> bool:
        """Whether no process writes to it any more."""
        return is_free(self.folder / LOCK_FILE)

    def is_gone(self) -> bool:
        """Whether another drain has removed it, which it does only once the log has everything."""
        return not self.folder.exists()

    def remove(self) -> None:
        """Remove the spool, all of which is on the log, unless another drain does. It disappears as a whole."""
        if self._lock is not None:
            old = self.folder.with_name(f"{OLD_PREFIX}{self.folder.name}")
            with contextlib.suppress(OSError):  # what can't be removed is drained again, which does no harm
                self.folder.rename(old)
                shutil.rmtree(old)
        self.release()

    def release(self) -> None:
        """Leave the spool to the next drain."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_points(self, make: SpoolRecords) -> tuple[list[Record], int]:
        records: list[Record] = []
        self._metrics.skip_removed()
        first = sequence = self._metrics.sequence
        while sequence - first < POINTS_PER_PASS:
            part = self._metrics.read(sequence, POINTS_PER_PASS - (sequence - first))
            if not len(part):
                break
            names = self._metrics.names(int(part["name_index"].max()) + 1)
            records += make.of_points(part, names, spool_id=spool_id(self.folder, "m"), first_sequence=sequence)
            sequence += len(part)
        return records, sequence - first


def spool_names(root: Path) -> list[str]:
    """The names of the spools below ``root``, without those that are being made or removed."""
    return sorted(name for name in _names(root) if not name.startswith((NEW_PREFIX, OLD_PREFIX)))


def claim_of(folder_name: str) -> str:
    """The claim that a spool's folder belongs to: a forked process adds a dot and letters of its own."""
    return folder_name.partition(".")[0]


def remove_leftovers(root: Path) -> None:
    """Remove what killed processes were making or removing; nothing in there is needed."""
    for name in _names(root):
        folder = root / name
        with contextlib.suppress(FileNotFoundError):
            is_old_new = name.startswith(NEW_PREFIX) and time.time() - folder.stat().st_mtime > NEW_AGE_S
            if name.startswith(OLD_PREFIX) or is_old_new:
                shutil.rmtree(folder, ignore_errors=True)


def _names(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries]
    except FileNotFoundError:
        return []
