"""Whether a read model is one of this log, at a position that the log still has: else it is set aside and made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import google_crc32c

from crucible.journal import Journal
from crucible.log.owned import owned_part
from crucible.log.protocol import PartitionKey
from crucible.portion import Portion
from crucible.position import Position
from crucible.projections.projection import read_progress
from crucible.records.record import Topic

TOPICS: tuple[Topic, ...] = ("commands", "events", "telemetry")
"""Topics that are projected."""
TELEMETRY = "telemetry"
"""Name in ``meta`` of the portion of telemetry that a model holds; there is no such row if it holds all of it."""
PARTITIONS = "telemetry_partitions"
"""Name in ``meta`` of all partitions of telemetry that the log has, beside the portion."""


def check_identity(journal: Journal) -> Callable[[Any], str | None]:
    """A check of a model's connection: why it is not one of this log, or None.

    The CRC-32C of the last value read is ours: it tells a log that was cut and written again, which its offsets don't.
    """

    def check(connection: Any) -> str | None:
        row = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()
        if row is None or row[0] != journal.log_id:
            return f"it is of log {row[0] if row else 'none'}, this is {journal.log_id}"
        if (holds := telemetry_held(connection)) != (wanted := _telemetry_of(journal)):
            return f"it holds telemetry {holds or 'of all partitions'}, this is for {wanted or 'all partitions'}"
        for (topic, partition), progress in read_progress(connection).items():
            end = journal.log.end(topic, partition)
            if progress.next_offset > end:
                return f"it has read {topic} {partition} up to {progress.next_offset}, the log ends at {end}"
            if progress.next_offset == 0:
                continue
            last = journal.log.read(topic, partition, progress.next_offset - 1, limit=1)
            if not last or int(google_crc32c.value(last[0].value)) != progress.last_crc32c:
                return f"record {progress.next_offset - 1} of {topic} {partition} is not the one that it has read"
        return None

    return check


def stamp_identity(connection: Any, journal: Journal) -> None:
    """Note what a new model is of. Dead letters below the present ends were mirrored by whoever read them first."""
    rows = {"log_id": journal.log_id, "rebuild_until": str(Position(log_ends(journal))), "dead_mirrored": "0"}
    if (part := owned_part(journal.log)) is not None:
        rows |= {TELEMETRY: str(part.portion), PARTITIONS: str(Portion.of(part.whole.partitions("telemetry")))}
    connection.execute("BEGIN")
    for row in rows.items():
        connection.execute("INSERT INTO meta VALUES (?, ?)", row)
    connection.execute("COMMIT")


def telemetry_held(connection: Any) -> str | None:
    """The portion of telemetry that a model holds, as text; None: all of it."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", [TELEMETRY]).fetchone()
    return None if row is None else str(row[0])


def _telemetry_of(journal: Journal) -> str | None:
    part = owned_part(journal.log)
    return None if part is None else str(part.portion)


def rebuild_until(connection: Any) -> Mapping[PartitionKey, int]:
    """Where the log ended when the model was made."""
    (text,) = connection.execute("SELECT value FROM meta WHERE name = 'rebuild_until'").fetchone()
    return Position.parse(text).offsets


def log_ends(journal: Journal) -> dict[PartitionKey, int]:
    """The next offset of each partition of the projected topics, as of now."""
    log = journal.log
    return {(topic, partition): log.end(topic, partition) for topic in TOPICS for partition in log.partitions(topic)}
