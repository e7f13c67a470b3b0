"""Values that were read ahead: kept for whoever asks next, however many readers there are, and bounded in all.

Readers of one process follow each other closely, so what one of them caused to be fetched is there for the others,
and nobody's reading moves anybody else's.
"""

from __future__ import annotations

import bisect
import collections
import threading
from collections.abc import Sequence
from typing import NamedTuple

from crucible.log.protocol import READ_BYTES_MAX, PartitionKey, Stored

PAGES_BYTES_MAX = 64 * 1024 * 1024
"""Most memory of pages, in all."""
STORED_BYTES = 200
"""What a value takes in memory beside its bytes, roughly."""


class _Page(NamedTuple):
    """Consecutive values and the bytes of them."""

    values: Sequence[Stored]
    size_bytes: int

    @property
    def memory_bytes(self) -> int:
        return self.size_bytes + STORED_BYTES * len(self.values)


class Pages:
    """Consecutive values, by partition and offset. Every method may be called from any thread."""

    def __init__(self, bytes_max: int = PAGES_BYTES_MAX) -> None:
        """Empty."""
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._firsts: dict[PartitionKey, list[int]] = {}
        self._pages: collections.OrderedDict[tuple[PartitionKey, int], _Page] = collections.OrderedDict()
        self._bytes = 0

    @property
    def memory_bytes(self) -> int:
        """What is kept takes about this much memory."""
        return self._bytes

    def put(self, partition: PartitionKey, values: Sequence[Stored]) -> None:
        """Keep values; the page that was used least lately goes when there are too many."""
        if not values:
            return
        first = values[0].offset
        page = _Page(values, sum([len(stored.value) for stored in values]))
        with self._lock:
            self._drop((partition, first))
            bisect.insort(self._firsts.setdefault(partition, []), first)
            self._pages[partition, first] = page
            self._bytes += page.memory_bytes
            while self._bytes > self._bytes_max and len(self._pages) > 1:
                self._drop(next(iter(self._pages)))

    def take(self, partition: PartitionKey, offset: int, limit: int) -> Sequence[Stored]:
        """Values from ``offset`` on, at most ``limit`` and about ``READ_BYTES_MAX`` bytes; empty if not kept."""
        with self._lock:
            firsts = self._firsts.get(partition, ())
            place = bisect.bisect_right(firsts, offset) - 1
            if place < 0:
                return ()
            page = self._pages[partition, firsts[place]]
            if page.values[-1].offset < offset:
                return ()
            self._pages.move_to_end((partition, firsts[place]))
        begin = offset - page.values[0].offset
        values = page.values[begin : begin + limit]
        return values if page.size_bytes <= READ_BYTES_MAX else bounded(values)

    def forget(self, partition: PartitionKey) -> None:
        """Drop what is kept of a partition."""
        with self._lock:
            for first in tuple(self._firsts.get(partition, ())):
                self._drop((partition, first))

    def _drop(self, key: tuple[PartitionKey, int]) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self._bytes -= page.memory_bytes
            self._firsts[key[0]].remove(key[1])


def bounded(page: Sequence[Stored]) -> Sequence[Stored]:
    """As many values as a read may return, at least one."""
    size_bytes = 0
    for number, stored in enumerate(page):
        size_bytes += len(stored.value)
        if size_bytes > READ_BYTES_MAX and number > 0:
            return page[:number]
    return page
