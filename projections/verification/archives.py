"""Whether the archives of a log are what was archived, and reach as far as the log was trimmed."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Sequence
from typing import Final

from crucible.archive.archived_log import missing
from crucible.archive.border import ARCHIVED
from crucible.archive.index import ArchiveIndex
from crucible.archive.parts import PartReader, value_crc32c
from crucible.blobs import BlobStore
from crucible.errors import BlobError, LogError
from crucible.log.opening import open_log
from crucible.log.protocol import Log, PartitionKey
from crucible.place import Place
from crucible.projections.verification.check import Check, Failure
from crucible.projections.verification.log import LogContents
from crucible.records.record import ArchivePart

PAGE_VALUES: Final = 5_000
ARCHIVE_AGAIN: Final = "crucible log archive"


@dataclasses.dataclass(frozen=True, slots=True)
class Archives:
    """What was found of a log's archives."""

    checks: Sequence[Check]
    """One check; none for a log that has no archives."""
    is_readable: bool
    """Whether all that was trimmed can be read."""


NO_ARCHIVES: Final = Archives((), is_readable=True)


def check_archives(place: Place, blobs: BlobStore, contents: LogContents) -> Archives:
    """Read every file that a record names; what was trimmed counts as contents of the log."""
    try:
        with contextlib.closing(open_log(place, may_create=False)) as log:
            walk = _Walk(log, blobs, contents)
            for topic in ARCHIVED:
                for partition in log.partitions(topic):
                    walk.check((topic, partition))
    except LogError as error:
        return Archives([Check("archives", "", [Failure(str(error), "put back a copy of the log")])], is_readable=False)
    if not walk.files and not walk.failures:
        return NO_ARCHIVES
    summary = f"{walk.values:,} records in {walk.files:,} files"
    return Archives([Check("archives", summary, walk.failures)], walk.is_readable)


class _Walk:
    """A pass over the archives of a log, and what it finds."""

    def __init__(self, log: Log, blobs: BlobStore, contents: LogContents) -> None:
        self._log = log
        self._blobs = blobs
        self._contents = contents
        self._index = ArchiveIndex(log)
        self._index.advance()
        self.failures: list[Failure] = []
        self.values = 0
        self.files = 0
        self.is_readable = True

    def check(self, key: PartitionKey) -> None:
        """Check the archive of a partition."""
        start, end = self._log.start(*key), self._index.end(key)
        if end < start:
            what = f"{key[0]}, partition {key[1]}, offsets {end} to {start - 1}: trimmed, and in no archive"
            self.failures.append(Failure(what, "put back a copy of the log that holds them"))
            self.is_readable = False
        archive = self._index.archives.get(key)
        for part in archive.parts if archive is not None else ():
            self.files += 1
            self.values += part["to_offset"] - part["from_offset"]
            is_trimmed = part["from_offset"] < start
            why = self._problem(key, part, start)
            if why is not None:
                what = f"{key[0]}, partition {key[1]}, offsets {part['from_offset']} to {part['to_offset'] - 1}: {why}"
                self.failures.append(Failure(what, self._mend(part, is_trimmed=is_trimmed)))
                self.is_readable &= not is_trimmed

    def _problem(self, key: PartitionKey, part: ArchivePart, start: int) -> str | None:
        """Why a file is not what was archived; counts what of it lies below ``start``."""
        digest = part["sha256"]
        if not self._blobs.exists(digest):
            return f"the archive of these, {missing(digest, self._blobs)}"
        try:
            reader = PartReader(self._blobs.get_path(digest, is_verified=True), *key, part)
        except (BlobError, LogError) as error:
            return f"the archive of these is damaged: {error}"
        with contextlib.closing(reader):
            offset = part["from_offset"]
            while offset < part["to_offset"]:
                page = reader.read(offset, PAGE_VALUES)
                trimmed = [stored for stored in page if stored.offset < start]
                self._contents.bytes += sum(len(stored.value) for stored in trimmed)
                self._contents.count(key[0], trimmed)
                last = page[-1]
                offset = last.offset + 1
        if value_crc32c(last) != part["last_crc32c"]:
            return "the last value in the archive of these is not the one that was archived"
        return None

    def _mend(self, part: ArchivePart, *, is_trimmed: bool) -> str:
        digest = part["sha256"]
        if is_trimmed:
            where = shlex.quote(self._blobs.where(digest))
            return f"put a copy of the file back, as {where}: the log does not hold these any more"
        return f"{self._blobs.removal(digest)} && {ARCHIVE_AGAIN}" if self._blobs.exists(digest) else ARCHIVE_AGAIN
