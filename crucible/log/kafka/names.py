"""Topics and partitions as Kafka names them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.partitioner import murmur2

from crucible.errors import LogCorruptError, LogError
from crucible.log.protocol import TOPICS, PartitionKey, Stored
from crucible.records.record import Topic


class Names:
    """The partitions of a log, ours and Kafka's names of them."""

    def __init__(self, prefix: str, counts: Mapping[Topic, int]) -> None:
        """``counts`` says how many partitions each topic has."""
        self._prefix = prefix
        self._counts = counts
        self._known = {
            (topic, number): TopicPartition(self.topic(topic), number)
            for topic in TOPICS
            for number in range(counts[topic])
        }

    def topic(self, topic: Topic) -> str:
        """Kafka's name of a topic."""
        return kafka_topic(self._prefix, topic)

    def partitions(self, topic: Topic) -> Sequence[int]:
        """Partitions of a topic. Raises ``LogError``."""
        if topic not in self._counts:
            message = f"there is no topic {topic!r}, only {', '.join(TOPICS)}"
            raise LogError(message)
        return range(self._counts[topic])

    def all(self) -> Iterable[TopicPartition]:
        """Every partition."""
        return self._known.values()

    def kafka(self, key: PartitionKey) -> TopicPartition:
        """Kafka's name of a partition. Raises ``LogError`` if there is none."""
        known = self._known.get(key)
        if known is None:
            topic, number = key
            message = f"there is no partition {number} of {topic!r}: it has {len(self.partitions(topic))}"
            raise LogError(message)
        return known

    def ours(self, partition: TopicPartition) -> PartitionKey:
        """Our name of one of these partitions."""
        topic: str = partition.topic.removeprefix(f"{self._prefix}.")
        return topic, partition.partition  # type: ignore[return-value]

    def home(self, topic: Topic, key: str) -> int:
        """The partition where values of a key go: as with Kafka's own default partitioner."""
        return _hash(key.encode()) % len(self.partitions(topic))


def kafka_topic(prefix: str, topic: str) -> str:
    """The name of a topic on Kafka."""
    return f"{prefix}.{topic}"


def stored_page(key: PartitionKey, offset: int, records: Sequence[ConsumerRecord[bytes, bytes]]) -> list[Stored]:
    """Records of a fetch as values, up to the first gap. Raises ``LogCorruptError`` for one at ``offset``."""
    topic, number = key
    page = [
        Stored(topic, number, record.offset, _text(record.key), record.value or b"", record.timestamp * 1000)
        for record in records
    ]
    if page[0].offset != offset:
        raise gap(key, offset)
    if page[-1].offset - offset == len(page) - 1:
        return page
    return [stored for count, stored in enumerate(page) if stored.offset == offset + count]


def gap(key: PartitionKey, offset: int) -> LogCorruptError:
    """What is said of an offset at which there is no value, although there are later ones."""
    topic, number = key
    message = (
        f"{topic}, partition {number}: there is no value at offset {offset}, although the topic goes on. A log has no "
        "gaps: somebody has written to the topic in a transaction, or it was compacted"
    )
    return LogCorruptError(message)


def _text(key: bytes | None) -> str:
    """A key as text; that of a foreign record, which may be anything, with what is no UTF-8 spelled out."""
    return "" if key is None else key.decode(errors="backslashreplace")


@functools.lru_cache(maxsize=8_192)
def _hash(key: bytes) -> int:
    hashed: int = murmur2(key) & 0x7FFF_FFFF
    return hashed
