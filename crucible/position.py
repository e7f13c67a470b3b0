"""Positions: where a reader stands, as a vector of next offsets for each partition of each topic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crucible.errors import UsageError
from crucible.log.protocol import TOPICS, PartitionKey
from crucible.records.record import Topic


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """The next offset for each partition of the topics that were read."""

    offsets: Mapping[PartitionKey, int]

    def __str__(self) -> str:
        """``commands=0:12+events=0:120,1:98``: topics and partitions sorted."""
        topics: dict[str, list[str]] = {}
        for (topic, partition), offset in sorted(self.offsets.items()):
            topics.setdefault(topic, []).append(f"{partition}:{offset}")
        return "+".join(f"{topic}={','.join(parts)}" for topic, parts in topics.items())

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that ``str`` wrote. Raises ``UsageError`` for any other text."""
        offsets: dict[PartitionKey, int] = {}
        try:
            for part in text.split("+"):
                name, _, rest = part.partition("=")
                topic: Topic = next(known for known in TOPICS if known == name)
                for pair in rest.split(","):
                    partition, _, offset = pair.partition(":")
                    offsets[topic, int(partition)] = int(offset)
        except (ValueError, StopIteration):
            message = f"{text!r} is no position; expected for example events=0:120+telemetry=0:4410"
            raise UsageError(message) from None
        return cls(offsets)
