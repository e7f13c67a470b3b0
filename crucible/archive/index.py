"""Which archives a log has: what the ``LogArchived`` records on partition 0 of ``events`` say.

Each of them names every file of its partition, and whoever archives says it of all partitions again, that of ``events``
0 last. So wherever that partition begins, what is needed to read all that was trimmed stands at or behind its start.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from crucible.errors import LogError, RecordError
from crucible.log.protocol import Log, PartitionKey, Stored

if TYPE_CHECKING:
    from crucible.codec import Codec
    from crucible.log_schemas import LogSchemas
    from crucible.records.log_events import LogArchived

URI: Final = "blob:sha256:"
"""How the address of a file begins, which is the key of the record that names it."""
RECORDS_ON: Final[PartitionKey] = ("events", 0)
"""Where the records stand, whatever their keys are."""
PAGE_VALUES: Final = 2_000


class ArchiveIndex:
    """The archives of one log, read on from where the last look ended. For one thread at a time."""

    def __init__(self, log: Log) -> None:
        """Nothing is read yet. Only what ``log`` still holds itself is."""
        self._log = log
        self._next = 0
        self._codec: Codec | None = None
        self._schemas: LogSchemas | None = None
        self.archives: dict[PartitionKey, LogArchived] = {}
        """For each partition the archive that reaches farthest."""
        self.stands_at: dict[PartitionKey, int] = {}
        """The offset of the record that says so."""
        self.first: Stored | None = None
        """The first event of the log, if a record repeats it."""

    def end(self, key: PartitionKey) -> int:
        """What lies below is in an archive, as far as was read."""
        from crucible.rules.evolve_log import archive_end

        archive = self.archives.get(key)
        return 0 if archive is None else archive_end(archive)

    def advance(self) -> None:
        """Read all that is there now. Raises as ``Log.read``."""
        for _ in self._pages():
            pass

    def find(self, key: PartitionKey, offset: int) -> LogArchived | None:
        """The archive that holds a value that the log has no more; None if there is none. Raises as ``Log.read``."""
        needed = max(offset + 1, self._log.start(*key))
        if self.end(key) >= needed:
            return self.archives[key]
        for _ in self._pages():
            if self.end(key) >= needed:
                return self.archives[key]
        return self.archives[key] if self.end(key) > offset else None

    def find_first(self) -> Stored | None:
        """The first event of a log of which it was trimmed. Raises as ``Log.read``."""
        if self.first is not None:
            return self.first
        return next((self.first for _ in self._pages() if self.first is not None), None)

    def _pages(self) -> Iterator[None]:
        """Take in what comes next, a page at a time."""
        self._next = max(self._next, self._log.start(*RECORDS_ON))
        end = self._log.end(*RECORDS_ON)
        while self._next < end:
            page = self._log.read(*RECORDS_ON, self._next, PAGE_VALUES)
            if not page:
                message = f"the log at {self._log.location} gives nothing of events/0 at {self._next}"
                raise LogError(message)
            for stored in page:
                if stored.key.startswith(URI):
                    self._take(stored)
            self._next = page[-1].offset + 1
            yield

    def _take(self, stored: Stored) -> None:
        from crucible.records.log_events import LogArchived
        from crucible.rules.evolve_log import archive_void

        record = self._decoded(stored)
        if not isinstance(record, LogArchived):
            return
        key: PartitionKey = (record.topic, record.partition)  # type: ignore[assignment]
        if not self._is_here(record) or archive_void(self.archives.get(key), record) is not None:
            return
        self.archives[key] = record
        self.stands_at[key] = stored.offset
        if record.first_value:
            value = base64.b64decode(record.first_value)
            self.first = Stored("events", 0, 0, record.first_key, value, record.first_appended_at_us)

    def _is_here(self, record: LogArchived) -> bool:
        """Whether it is of this log, and not of one with other partitions that this is a copy of."""
        from crucible.log.protocol import TOPICS

        topic = next((known for known in TOPICS if known == record.topic), None)
        return (
            topic is not None
            and record.partitions == len(self._log.partitions(topic))
            and 0 <= record.partition < record.partitions
        )

    def _decoded(self, stored: Stored) -> object:
        if self._codec is None or self._schemas is None:
            from crucible.codec import Codec
            from crucible.log_schemas import LogSchemas

            self._codec = Codec()
            self._schemas = LogSchemas(self._log, self._codec, None, send=_refuse)
        try:
            self._schemas.find(self._codec.schema_id(stored.value))
            return self._codec.decode(stored.value)
        except RecordError:
            return None


def _refuse(_batches: object) -> None:
    message = "who looks for archives writes no schemas"
    raise LogError(message)
