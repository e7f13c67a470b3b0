"""Archiving: values of closed runs go into files, the files into the blob store, and then records say where they are.

Killed anywhere, it is done again: files without a record are garbage that nobody reads, and nothing leaves the log
before it is trimmed. Two that archive at once write the same values; the record that reaches farther counts.
"""

from __future__ import annotations

import base64
import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from crucible.archive.border import ARCHIVED
from crucible.archive.index import RECORDS_ON, URI, ArchiveIndex
from crucible.archive.parts import Described, PartWriter, footer_crc32c, value_crc32c
from crucible.blobs import BlobStore
from crucible.envelope import read_envelope
from crucible.errors import LogError, LogRefusedError
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey, Stored
from crucible.position import Position
from crucible.records.log_events import LogArchived
from crucible.records.record import ArchivePart

PART_BYTES: Final = 128 * 1024 * 1024
"""A file takes no further page once its values have so many bytes before compression."""
PART_VALUES: Final = 1_000_000
PARTS_MAX: Final = 5_000
"""Files that one record can name: a log of 600 GB in each partition."""
PAGE_VALUES: Final = 5_000

Progress = Callable[[int, int], None]
"""Is told how many values are archived, and how many will be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Archived:
    """What became of it."""

    values: int
    """Values archived now."""
    files: int
    size_bytes: int
    """Of the new files."""
    position: Position
    """What lies below is archived."""


class Archiver:
    """Archives one log. For one thread."""

    def __init__(self, journal: Journal, blobs: BlobStore, scratch: Path, *, part_bytes: int = PART_BYTES) -> None:
        """Files are written in the folder ``scratch`` first. Raises as ``Log.read``."""
        self._journal = journal
        self._blobs = blobs
        self._scratch = scratch
        self._part_bytes = part_bytes
        self._index = ArchiveIndex(journal.log)
        self._index.advance()
        self._parts = {key: self._kept_parts(key) for key in _partitions(journal)}

    @property
    def ends(self) -> dict[PartitionKey, int]:
        """For each partition, what lies below is archived in files that are there."""
        return {key: _end(parts) for key, parts in self._parts.items()}

    def run(self, border: Mapping[PartitionKey, int], progress: Progress) -> Archived:
        """Archive up to ``border``; the log is only appended to. Raises ``LogError`` and ``StorageError``."""
        total = sum(max(0, border.get(key, 0) - end) for key, end in self.ends.items())
        new: list[ArchivePart] = []
        values = 0
        with self._blobs.keeping():
            for key, parts in self._parts.items():
                while _end(parts) < border.get(key, 0):
                    part = self._write(key, _end(parts), border[key])
                    parts.append(part)
                    new.append(part)
                    values += part["to_offset"] - part["from_offset"]
                    progress(values, total)
            if new:
                self._record()
        size_bytes = sum(part["size_bytes"] for part in new)
        return Archived(values, len(new), size_bytes, Position({key: end for key, end in self.ends.items() if end}))

    def _kept_parts(self, key: PartitionKey) -> list[ArchivePart]:
        """The files of an archive that are there and are of this log; those after one that is not are made again."""
        archive = self._index.archives.get(key)
        start = self._journal.log.start(*key)
        kept: list[ArchivePart] = []
        for part in archive.parts if archive is not None else ():
            is_trimmed = part["from_offset"] < start
            if not is_trimmed and not (self._blobs.exists(part["sha256"]) and self._is_ours(key, part)):
                break
            kept.append(part)
        if _end(kept) < start:
            message = (
                f"{key[0]}, partition {key[1]} begins at {start}, and its archive ends at {_end(kept)}: "
                "what lies between is lost; crucible verify says more"
            )
            raise LogError(message)
        return kept

    def _is_ours(self, key: PartitionKey, part: ArchivePart) -> bool:
        """Whether the last value of a file is the one that this log has there: a rescued log or a copy has others."""
        log = self._journal.log
        last = part["to_offset"] - 1
        if last >= log.end(*key):
            return False
        page = log.read(*key, last, 1)
        return bool(page) and value_crc32c(page[0]) == part["last_crc32c"]

    def _write(self, key: PartitionKey, begin: int, border: int) -> ArchivePart:
        """One file from ``begin`` on, kept as a blob."""
        log = self._journal.log
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="archive-", dir=self._scratch) as folder:
            path = Path(folder) / f"{key[0]}-{key[1]}-{begin}.parquet"
            writer = PartWriter(path, *key, self._describe)
            offset = begin
            try:
                while offset < border and writer.size_bytes < self._part_bytes and writer.values < PART_VALUES:
                    page = log.read(*key, offset, min(PAGE_VALUES, border - offset))
                    if not page:
                        message = f"the log at {log.location} gives nothing of {key[0]}/{key[1]} at {offset}"
                        raise LogError(message)
                    writer.add(page)
                    last = page[-1]
                    offset = last.offset + 1
            finally:
                writer.close()
            footer, size_bytes = footer_crc32c(path), path.stat().st_size
            fault_point("archive:written")
            digest = self._blobs.put_file(path, is_given_away=True)
        fault_point("archive:kept")
        return ArchivePart(
            sha256=digest,
            from_offset=begin,
            to_offset=offset,
            size_bytes=size_bytes,
            last_crc32c=value_crc32c(last),
            footer_crc32c=footer,
        )

    def _record(self) -> None:
        """Say where the files are, of every partition that has some: that of the records themselves last."""
        for key in sorted(self._parts, key=lambda each: (each == RECORDS_ON, each)):
            parts = self._parts[key]
            if not parts:
                continue
            if len(parts) > PARTS_MAX:
                message = (
                    f"{key[0]}, partition {key[1]}: one record names at most {PARTS_MAX:,} files, not {len(parts):,}"
                )
                raise LogRefusedError(message)
            fault_point("archive:before-record")
            self._journal.append_at(RECORDS_ON[1], self._made(key, parts))
            fault_point("archive:recorded")

    def _made(self, key: PartitionKey, parts: list[ArchivePart]) -> LogArchived:
        topic, partition = key
        log = self._journal.log
        first = log.read(*RECORDS_ON, 0, 1)[0] if key == RECORDS_ON else None
        return self._journal.make(
            LogArchived,
            uri=f"{URI}{parts[-1]['sha256']}",
            position=str(Position({key: _end(parts)})),
            sha256=parts[-1]["sha256"],
            topic=topic,
            partition=partition,
            partitions=len(log.partitions(topic)),
            parts=parts,
            first_key=first.key if first else "",
            first_value=base64.b64encode(first.value).decode() if first else "",
            first_appended_at_us=first.appended_at_us if first else 0,
        )

    def _describe(self, stored: Stored) -> Described:
        name = self._journal.record_type(stored)
        envelope = read_envelope(stored.value) if name is not None else None
        if envelope is None:
            return None, name, None, None, None
        return envelope.event_id, name, envelope.actor, envelope.occurred_at_us, envelope.traceparent


def _partitions(journal: Journal) -> list[PartitionKey]:
    return [(topic, partition) for topic in ARCHIVED for partition in journal.log.partitions(topic)]


def _end(parts: list[ArchivePart]) -> int:
    return parts[-1]["to_offset"] if parts else 0
