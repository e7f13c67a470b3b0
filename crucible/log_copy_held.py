"""What a copy holds already: for each key how many values, and a checksum over them in their order.

A copy keeps the order of a key's values, so those that it holds are the first ones of the source. The checksum tells
whether they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from google_crc32c import extend

from crucible.codec import HEADER_BYTES
from crucible.errors import UsageError
from crucible.journal import Journal
from crucible.log.paging import read_pages
from crucible.log.protocol import Log, Offsets, Stored
from crucible.records.record import Topic


class Held:
    """The values of a copy that the walk through its source has not come to yet. For one thread."""

    def __init__(self, target: Journal, topics: Sequence[Topic]) -> None:
        """Read the copy once; memory goes with the number of its keys."""
        self._location = target.log.location
        self._keys: dict[tuple[Topic, str], list[int]] = {}
        """Values left, checksum of all in the copy, checksum of those that the source was found to have."""
        self._counts: dict[Topic, int] = {}
        for topic in topics:
            for partition in target.log.partitions(topic):
                self._read(target.log, topic, partition)

    def require_below(self, source: Log, ends: Offsets) -> None:
        """Raise ``UsageError`` if the copy holds more than the source, or what the source does not begin with."""
        for topic, count in self._counts.items():
            end = sum(offset for (each, _), offset in ends.items() if each == topic)
            if count > end:
                message = f"{self._location} holds {count:,} {topic}, the source {end:,}: it is no copy of it"
                raise UsageError(message)
        if not self._keys:
            return
        rest = {key: list(state) for key, state in self._keys.items()}
        for (topic, partition), end in ends.items():
            for page in read_pages(source, topic, partition, 0, end):
                for stored in page:
                    _take(rest, stored, self._location)
                if not rest:
                    return
        if rest:
            (topic, key), state = next(iter(rest.items()))
            message = (
                f"{self._location} holds {state[0]:,} {topic} of key {key[:80]!r} that the source lacks: "
                "it is no copy of it, or was written to since; name an empty place"
            )
            raise UsageError(message)

    @property
    def count(self) -> int:
        """How many values the copy holds."""
        return sum(self._counts.values())

    @property
    def is_exhausted(self) -> bool:
        """Whether the walk has come to the end of what the copy held."""
        return not self._keys

    def take(self, stored: Stored) -> bool:
        """Whether the copy holds this value of the source, the next one of its key."""
        return bool(self._keys) and _take(self._keys, stored, self._location)

    def _read(self, log: Log, topic: Topic, partition: int) -> None:
        end = log.end(topic, partition)
        self._counts[topic] = self._counts.get(topic, 0) + end
        for page in read_pages(log, topic, partition, 0, end):
            for stored in page:
                state = self._keys.setdefault((topic, stored.key), [0, 0, 0])
                state[0] += 1
                state[1] = extend(state[1], stored.value[HEADER_BYTES:])


def _take(keys: dict[tuple[Topic, str], list[int]], stored: Stored, location: str) -> bool:
    """Note that the source has a value; True if the copy has it. Raises ``UsageError`` if it has another one."""
    state = keys.get((stored.topic, stored.key))
    if state is None:
        return False
    state[0] -= 1
    state[2] = extend(state[2], stored.value[HEADER_BYTES:])
    if state[0] == 0:
        if state[1] != state[2]:
            message = (
                f"{location} holds other {stored.topic} of key {stored.key[:80]!r} than the source: "
                "it is no copy of it, or was written to since; name an empty place"
            )
            raise UsageError(message)
        del keys[stored.topic, stored.key]
    return True
