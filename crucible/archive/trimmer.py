"""Trimming a log to its archives: what goes was read back from its file and compared with the log, value by value.

The last value of each partition stays: whoever has read a log to its end compares it, and needs no archive for that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crucible.archive.index import RECORDS_ON, ArchiveIndex
from crucible.archive.parts import PartReader
from crucible.blobs import BlobStore
from crucible.errors import BlobError, LogCorruptError
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey, Stored
from crucible.records.record import ArchivePart

PAGE_VALUES: Final = 5_000

Progress = Callable[[int, int], None]
"""Is told how many values were compared, and how many will be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trimmed:
    """What became of it."""

    starts: Mapping[PartitionKey, int]
    """Where each partition begins now that was trimmed."""
    values: int
    """Values that the log holds no more."""


class Trimmer:
    """Trims one log. For one thread."""

    def __init__(self, journal: Journal, blobs: BlobStore) -> None:
        """Read what archives there are. Raises as ``Log.read``."""
        self._journal = journal
        self._blobs = blobs
        self._index = ArchiveIndex(journal.log)
        self._index.advance()

    def run(self, progress: Progress) -> Trimmed:
        """Trim every partition to its archive.

        Raises ``LogCorruptError`` for a file that is missing, damaged, or not what the log holds, before anything of
        that partition goes.
        """
        targets = self._targets()
        total = sum(target - start for start, target in targets.values())
        compared = values = 0
        starts: dict[PartitionKey, int] = {}
        for key, (start, target) in targets.items():
            for part in self._index.archives[key].parts:
                if part["to_offset"] > start and part["from_offset"] < target:
                    for count in self._compare(key, part, start, target):
                        compared += count
                        progress(compared, total)
            fault_point("archive:compared")
            starts[key] = self._journal.log.trim(*key, target)
            fault_point("archive:trimmed")
            values += starts[key] - start
        return Trimmed(starts, values)

    def _targets(self) -> dict[PartitionKey, tuple[int, int]]:
        """For each partition that can be trimmed, where it begins and where it will; that of the records last."""
        log, index = self._journal.log, self._index
        targets: dict[PartitionKey, tuple[int, int]] = {}
        for key in sorted(index.archives, key=lambda each: (each == RECORDS_ON, each)):
            start = log.start(*key)
            target = min(index.end(key), log.end(*key) - 1)
            if key == RECORDS_ON:  # whatever says where the archives are stays
                target = min([target, *index.stands_at.values()])
            if target > start:
                targets[key] = (start, target)
        return targets

    def _compare(self, key: PartitionKey, part: ArchivePart, start: int, target: int) -> Iterator[int]:
        """Compare what a file holds of a stretch with the log; tells how many values at a time."""
        log, digest = self._journal.log, part["sha256"]
        offset, end = max(start, part["from_offset"]), min(target, part["to_offset"])
        try:
            path = self._blobs.get_path(digest, is_verified=True)
        except BlobError as error:
            removal = f"{self._blobs.removal(digest)} && " if self._blobs.exists(digest) else ""
            raise LogCorruptError(_refusal(key, part, str(error), removal)) from error
        reader = PartReader(path, *key, part)
        try:
            while offset < end:
                held = log.read(*key, offset, min(PAGE_VALUES, end - offset))
                archived: list[Stored] = []
                while len(archived) < len(held):
                    archived += reader.read(offset + len(archived), len(held) - len(archived))
                if archived != list(held) or not held:
                    raise LogCorruptError(_refusal(key, part, "it does not hold what the log does"))
                offset += len(held)
                yield len(held)
        finally:
            reader.close()


def _refusal(key: PartitionKey, part: ArchivePart, why: str, removal: str = "") -> str:
    return (
        f"{key[0]}, partition {key[1]}, offsets {part['from_offset']} to {part['to_offset'] - 1}: nothing was trimmed, "
        f"because the archive can't be relied on: {why}. It is made again by: {removal}crucible log archive"
    )
