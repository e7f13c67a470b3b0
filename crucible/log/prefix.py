"""The beginning of a log, up to a position: what was there then, read with everything that reads a log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from crucible.errors import LogError, LogRefusedError, UsageError
from crucible.log.protocol import Appended, Batch, Log, Offsets, PartitionKey, Stored
from crucible.records.record import Topic

BOUNDED: tuple[Topic, ...] = ("commands", "events", "telemetry")
"""Topics that end at the position; schemas and dead letters are read as they are now."""


class PrefixLog:
    """A log that ends where a position says. It can't be appended to. Every method may be called from any thread."""

    def __init__(self, log: Log, offsets: Mapping[PartitionKey, int]) -> None:
        """A partition that ``offsets`` does not name ends at 0.

        Raises ``UsageError`` for a partition that the log does not have, or an offset past its end.
        """
        self.whole = log
        """The log that goes on."""
        self._ends: dict[PartitionKey, int] = {}
        self.extend(offsets)

    def extend(self, offsets: Mapping[PartitionKey, int]) -> None:
        """End at another position from now on. Raises as the constructor."""
        _require_within(self.whole, offsets)
        self._ends = dict(offsets)

    @property
    def location(self) -> str:
        """Where the log is, for people."""
        return self.whole.location

    def partitions(self, topic: Topic) -> Sequence[int]:
        """The partitions of a topic."""
        return self.whole.partitions(topic)

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go."""
        return self.whole.home(topic, key)

    def append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        """Refuse: what was can't be changed."""
        _ = batches
        message = "the log as of a position can only be read"
        raise LogRefusedError(message)

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> Sequence[Stored]:
        """Values below the position, as ``Log.read``."""
        if topic not in BOUNDED:
            return self.whole.read(topic, partition, offset, limit)
        left = self.end(topic, partition) - offset
        if left < 0:
            message = f"{topic} {partition} ends at {self.end(topic, partition)} here, {offset} lies past it"
            raise LogError(message)
        return self.whole.read(topic, partition, offset, min(limit, left)) if left else []

    def end(self, topic: Topic, partition: int) -> int:
        """The position's offset."""
        if topic not in BOUNDED:
            return self.whole.end(topic, partition)
        return self._ends.get((topic, partition), 0)

    def ends(self, partitions: Collection[PartitionKey]) -> dict[PartitionKey, int]:
        """The position's offsets."""
        return {key: self.end(*key) for key in partitions}

    def ready(self, offsets: Offsets) -> Collection[PartitionKey]:
        """Partitions that have more below the position."""
        return [key for key, offset in offsets.items() if self.end(*key) > offset]

    def start(self, topic: Topic, partition: int) -> int:
        """The kept start of the log itself."""
        return self.whole.start(topic, partition)

    def trim(self, topic: Topic, partition: int, offset: int) -> int:
        """Refuse: what was can't be changed."""
        _ = topic, partition, offset
        message = "the log as of a position can only be read"
        raise LogRefusedError(message)

    def wait(self, offsets: Offsets, timeout_s: float) -> bool:
        """Whether there is more below the position: nothing comes any more, so nothing is waited for."""
        _ = timeout_s
        return any(self.end(*key) > offset for key, offset in offsets.items())

    def close(self) -> None:
        """Close the log."""
        self.whole.close()


def _require_within(log: Log, offsets: Mapping[PartitionKey, int]) -> None:
    problems = []
    for (topic, partition), offset in sorted(offsets.items()):
        if topic not in BOUNDED:
            problems.append(f"{topic} is no topic of a position: there are {', '.join(BOUNDED)}")
        elif partition not in log.partitions(topic):
            problems.append(f"{topic} has no partition {partition}")
        elif not 0 <= offset <= (end := log.end(topic, partition)):
            problems.append(f"{topic} {partition} has offsets 0 to {end}, not {offset}")
    if problems:
        message = f"the position is none of the log at {log.location}: {'; '.join(problems)}"
        raise UsageError(message)
