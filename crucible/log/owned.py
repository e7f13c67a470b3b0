"""A log of which one reader takes all commands and events, and some partitions of telemetry: those of its portion.

Whatever reads a log reads this one, and so knows nothing of other partitions: positions, ends and accounts are those of
the portion. Everything can be appended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from crucible.errors import UsageError
from crucible.log.prefix import PrefixLog
from crucible.log.protocol import Appended, Batch, Log, Offsets, PartitionKey, Stored
from crucible.portion import Portion
from crucible.records.record import Topic


class OwnedLog:
    """A log with the partitions of telemetry of one portion. Every method may be called from any thread."""

    def __init__(self, log: Log, portion: Portion) -> None:
        """Raises ``UsageError`` with every partition that the log does not have."""
        self.whole = log
        """The log with all of its partitions."""
        self.portion = portion
        have = log.partitions("telemetry")
        problems = [
            f"--telemetry {portion}: there is no partition {number}; telemetry of {log.location} has {Portion.of(have)}"
            for number in portion.partitions
            if number not in have
        ]
        if problems:
            raise UsageError("\n".join(problems))

    @property
    def location(self) -> str:
        """Where the log is, for people."""
        return self.whole.location

    @property
    def is_first(self) -> bool:
        """Its portion holds the first partition: what only one of several does is this one's."""
        return min(self.whole.partitions("telemetry")) in self.portion

    def owns(self, run_id: str) -> bool:
        """Whether the telemetry of a run is in the portion."""
        return self.home("telemetry", run_id) in self.portion

    def partitions(self, topic: Topic) -> Sequence[int]:
        """The partitions of a topic; of telemetry those of the portion."""
        return self.portion.partitions if topic == "telemetry" else self.whole.partitions(topic)

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go, whoever reads it."""
        return self.whole.home(topic, key)

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Append to the whole log."""
        return self.whole.append(batches)

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values from ``offset`` on."""
        return self.whole.read(topic, partition, offset, limit)

    def end(self, topic: Topic, partition: int) -> int:
        """The next offset."""
        return self.whole.end(topic, partition)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The next offsets."""
        return self.whole.ends(partitions)

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """Partitions that are worth a read."""
        return self.whole.ready(offsets)

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start."""
        return self.whole.start(topic, partition)

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Trim the whole log."""
        return self.whole.trim(topic, partition, offset)

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until any of these partitions has more."""
        return self.whole.wait(offsets, timeout_s)

    def close(self) -> None:
        """Close the log."""
        self.whole.close()


def owned_part(log: Log) -> OwnedLog | None:
    """The part of a log that is read, wherever it ends; None if all of it is."""
    if isinstance(log, PrefixLog):
        return owned_part(log.whole)
    return log if isinstance(log, OwnedLog) else None
