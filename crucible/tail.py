"""Following the log: what comes next on some topics, from a position on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from crucible.errors import LogError
from crucible.journal import Entry, Journal
from crucible.log.protocol import PartitionKey
from crucible.position import Position
from crucible.records.record import Topic


class Tail:
    """A reader of whole topics that remembers where it stands. For one thread.

    Order holds within a partition; between partitions and topics there is none.
    """

    def __init__(
        self, journal: Journal, topics: Sequence[Topic], start: Mapping[PartitionKey, int] | None = None
    ) -> None:
        """Begin at ``start`` (next offset for each partition), at 0 where it says nothing."""
        given = start or {}
        self._journal = journal
        self._next: dict[PartitionKey, int] = {
            (topic, partition): given.get((topic, partition), 0)
            for topic in topics
            for partition in journal.log.partitions(topic)
        }

    @property
    def position(self) -> Position:
        """Where the reader stands: everything below has been returned."""
        return Position(dict(self._next))

    def poll(self, timeout_s: float) -> list[Entry]:
        """What is beyond the position, at once if there is something; else waits, and gives [] after ``timeout_s``.

        One page of each partition at most: call again for more. Raises as ``Log.read``.
        """
        found = self._read_once()
        if not found and timeout_s > 0 and self._journal.log.wait(self._next, timeout_s):
            found = self._read_once()
        return found

    def catch_up(self) -> list[Entry]:
        """Everything up to the ends of the partitions as of this call. Raises as ``Log.read``."""
        return [entry for page in self.pages() for entry in page]

    def pages(self) -> Iterator[list[Entry]]:
        """As ``catch_up``, a page at a time, so that of a long log no more is held; the ends are asked for at first."""
        ends = self._journal.log.ends(tuple(self._next))
        for key, end in ends.items():
            while self._next[key] < end:
                page = self._read(key)
                if not page:
                    place = self._journal.log.location
                    message = f"the log at {place} gives nothing of {key[0]}/{key[1]} below its end {end}"
                    raise LogError(message)
                yield page

    def _read_once(self) -> list[Entry]:
        return [entry for key in self._journal.log.ready(self._next) for entry in self._read(key)]

    def _read(self, key: PartitionKey) -> list[Entry]:
        entries = self._journal.read(*key, self._next[key])
        if entries:
            self._next[key] = entries[-1].stored.offset + 1
        return entries
