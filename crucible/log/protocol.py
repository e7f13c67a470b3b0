"""What a log is: topics of partitions of values, appended in atomic batches and read by position.

Three engines implement it (memory, embedded, kafka) and pass one conformance suite,
``crucible.testing.log_conformance``. The log knows nothing of records: a value is bytes in the wire format of
``crucible.codec``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from crucible.records.record import Topic

TOPICS: tuple[Topic, ...] = ("commands", "dead", "events", "schemas", "telemetry")
BATCH_BYTES_MAX = 900_000
"""Most bytes of values in one append, on every engine."""
BATCH_VALUES_MAX = 10_000
"""Most values in one append, on every engine."""
KEY_BYTES_MAX = 1_024
"""Longest key in UTF-8, on every engine."""
READ_BYTES_MAX = 8 * 1024 * 1024
"""A read returns about this many bytes of values at most, and at least one batch if there is one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outgoing:
    """A value to append, with what an engine may put into headers."""

    event_id: str
    record_type: str
    value: bytes
    traceparent: str | None = None
    actor: str | None = None
    """Who wrote it."""
    occurred_at_us: int | None = None
    """When it happened, in microseconds since the epoch."""


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """One atomic append: values of one key of one topic."""

    topic: Topic
    key: str
    values: Sequence[Outgoing]
    partition: int | None = None
    """Where it goes; None: where its key goes, as always but for the record that gives a log its identity."""


class Stored(NamedTuple):
    """A value as the log holds it. A tuple: to make a dataclass of each value takes three times as long."""

    topic: Topic
    partition: int
    offset: int
    key: str
    value: bytes
    appended_at_us: int
    """When the log took it: shown, never decided by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Appended:
    """Where a batch stands: offsets ``first_offset`` to ``first_offset + count - 1``."""

    topic: Topic
    partition: int
    first_offset: int
    count: int


PartitionKey = tuple[Topic, int]
Offsets = Mapping[PartitionKey, int]
"""For each partition, the next offset to read."""


class Log(Protocol):
    """An ordered, durable store of values. Every method may be called from any thread."""

    @property
    def location(self) -> str:
        """Where the log is, for people."""
        ...

    def partitions(self, topic: Topic) -> Sequence[int]:
        """The partitions of a topic."""
        ...

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go."""
        ...

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append batches, each atomically, and return once all are durable.

        All values of a batch stand one after the other in the partition of its key. Batches of one call and one
        partition keep their order; an engine may write them in one transaction.
        Raises ``LogRefusedError`` for an empty batch, one above a limit, or a topic that is none, before anything is
        written;
        ``AppendUnknownError`` when an outcome is not known; ``LogError`` when nothing was appended.
        """
        ...

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Up to ``limit`` values from ``offset`` on, in order; empty at the end.

        There may be fewer than ``limit``, even before the end, and a batch may be cut: who wants all reads on until
        ``end``.
        Raises ``LogCorruptError`` when a batch does not match its checksum, naming topic, partition and offsets,
        ``LogTrimmedError`` when ``offset`` lies below the start, and ``LogError`` when it lies past the end.
        """
        ...

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start, as of now: what lies below was trimmed. 0 for a partition that never was."""
        ...

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset that an append would get, as of now."""
        ...

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The ends of several partitions, as of now: asked for together, where an engine has to ask."""
        ...

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """Partitions that may have a value at or after their offset: worth a read, which may still find nothing.

        Nobody is asked. An engine that is told of whatever comes leaves out the partitions of which it was told nothing
        yet, so what was appended a moment ago may be missed: who must not miss it asks for ``ends``.
        """
        ...

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Remove values below ``offset`` for good, and return the new start.

        An engine removes whole batches only, or may cut one; so the start is ``offset`` or somewhat before it, and it
        never moves back. Offsets and ends stay as they are. Raises ``LogError`` for an offset past the end.
        """
        ...

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until any of the partitions has a value at or after its offset.

        False when ``timeout_s`` passed first, or the log was closed meanwhile.
        """
        ...

    def close(self) -> None:
        """Give back everything. Safe to call twice."""
        ...
