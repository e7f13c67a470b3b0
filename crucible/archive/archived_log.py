"""A log that goes on below its kept start: what was trimmed is read from its archives.

Whatever folds, copies or compares a log needs to know nothing of that. A log that was never trimmed costs
nothing more: an archive is looked for when a read finds that the log does not hold its offset any more.
"""

from __future__ import annotations

import collections
import shlex
import threading
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from crucible.archive.index import ArchiveIndex
from crucible.errors import BlobError, LogCorruptError, LogError, LogTrimmedError, LogUnreachableError, StorageError
from crucible.log.protocol import Appended, Batch, Log, Offsets, PartitionKey, Stored
from crucible.place import Place
from crucible.records.record import Topic

if TYPE_CHECKING:
    from crucible.archive.parts import PartReader
    from crucible.blobs import BlobStore
    from crucible.records.record import ArchivePart

OPEN_FILES: Final = 4
"""Files of archives that are open at once; each keeps a few row groups in memory."""


class ArchivedLog:
    """A log and its archives. Every method may be called from any thread."""

    def __init__(self, log: Log, place: Place) -> None:
        """The blobs of ``place`` hold the archives of ``log``."""
        self._log = log
        self._place = place
        self._mutex = threading.Lock()
        self._index = ArchiveIndex(log)
        self._blobs: BlobStore | None = None
        self._readers: collections.OrderedDict[str, PartReader] = collections.OrderedDict()

    @property
    def location(self) -> str:
        """Where the log is, for people."""
        return self._log.location

    def partitions(self, topic: Topic) -> Sequence[int]:
        """The partitions of a topic."""
        return self._log.partitions(topic)

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go."""
        return self._log.home(topic, key)

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches to the log, as ``Log.append``."""
        return self._log.append(batches)

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values from ``offset`` on, as ``Log.read``: from the log, else from the archive that holds it.

        Raises ``LogTrimmedError`` if none does, ``LogCorruptError`` if its file is missing or damaged.
        """
        try:
            return self._log.read(topic, partition, offset, limit)
        except LogTrimmedError as error:
            return self._archived(topic, partition, offset, limit, error)

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset."""
        return self._log.end(topic, partition)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The next offsets."""
        return self._log.ends(partitions)

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """Partitions that are worth a read."""
        return self._log.ready(offsets)

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start of the log itself: what lies below is read from archives."""
        return self._log.start(topic, partition)

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Trim the log itself, as ``Log.trim``; whoever calls has made sure of the archive."""
        return self._log.trim(topic, partition, offset)

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until there is more, as ``Log.wait``."""
        return self._log.wait(offsets, timeout_s)

    def close(self) -> None:
        """Close the log and the files. Safe to call twice."""
        self._log.close()
        with self._mutex:
            while self._readers:
                self._readers.popitem()[1].close()

    def _archived(
        self, topic: Topic, partition: int, offset: int, limit: int, trimmed: LogTrimmedError
    ) -> Sequence[Stored]:
        if limit < 1:
            message = f"{topic}, partition {partition}: a read takes a limit of at least 1, not {limit}"
            raise LogError(message)
        with self._mutex:
            if (topic, partition, offset) == ("events", 0, 0) and (first := self._index.find_first()):
                return (first,)
            archive = self._index.find((topic, partition), offset)
            if archive is None:
                message = (
                    f"{trimmed}; no record LogArchived on events, partition 0, says where an archive of it is: "
                    "put back a copy of the log that holds it, or copy what is left to another place"
                )
                raise LogTrimmedError(message) from trimmed
            part = next(part for part in archive.parts if part["to_offset"] > offset)
            return self._reader(topic, partition, part).read(offset, limit)

    def _reader(self, topic: Topic, partition: int, part: ArchivePart) -> PartReader:
        from crucible.archive.parts import PartReader

        digest = part["sha256"]
        known = self._readers.get(digest)
        if known is not None:
            self._readers.move_to_end(digest)
            return known
        if self._blobs is None:
            from crucible.blobs import open_blobs

            self._blobs = open_blobs(self._place)
        where = f"{topic}, partition {partition}, offsets {part['from_offset']} to {part['to_offset'] - 1}"
        try:
            path = self._blobs.get_path(digest)
        except BlobError as error:
            place = shlex.quote(self._blobs.where(digest))
            message = f"{where}: the archive of these, {missing(digest, self._blobs)}; put a copy of it back as {place}"
            raise LogCorruptError(message) from error
        except StorageError as error:
            message = f"{where}: the archive of these can't be had: {error}"
            raise LogUnreachableError(message) from error
        while len(self._readers) >= OPEN_FILES:
            self._readers.popitem(last=False)[1].close()
        reader = self._readers[digest] = PartReader(path, topic, partition, part)
        return reader


def missing(digest: str, blobs: BlobStore) -> str:
    """What to say of a file of an archive that is gone."""
    return f"blob {digest}, is not in {blobs.location}"
