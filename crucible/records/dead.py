"""Dead letters: copies of records that could not be applied."""

from __future__ import annotations

from crucible.records.record import Record, record


@record(topic="dead", key="original_key")
class DeadLetter(Record):
    """A copy of a record that could not be applied."""

    original_topic: str
    """Topic."""
    original_partition: int
    """Partition."""
    original_offset: int
    """Offset."""
    original_key: str
    """Key."""
    value: bytes
    """The bytes."""
    reason: str
    """Why."""
