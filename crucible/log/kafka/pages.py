"""Values that were read ahead: kept for whoever asks next, however many readers there are, and bounded in all.

Readers of one process follow each other closely, so what one of them caused to be fetched is there for the others,
and nobody's reading moves anybody else's.
"""

from __future__ import annotations

import bisect
import collections
import threading
from collections.abc import Sequence

from crucible.log.protocol import READ_BYTES_MAX, PartitionKey, Stored

PAGES_BYTES_MAX = 64 * 1024 * 1024
"""Most memory of pages, in all."""
STORED_BYTES = 200
"""What a value takes in memory beside its bytes, roughly."""


class Pages:
    """Consecutive values, by partition and offset. Every method may be called from any thread."""

    def __init__(self, bytes_max: int = PAGES_BYTES_MAX) -> None:
        """Empty."""
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._firsts: dict[PartitionKey, list[int]] = {}
        self._pages: collections.OrderedDict[tuple[PartitionKey, int], Sequence[Stored]] = collections.OrderedDict()
        self._bytes = 0

    def put(self, partition: PartitionKey, page: Sequence[Stored]) -> None:
        """Keep values; the page that was used least lately goes when there are too many."""
        if not page:
            return
        first = page[0].offset
        with self._lock:
            self._drop((partition, first))
            bisect.insort(self._firsts.setdefault(partition, []), first)
            self._pages[partition, first] = page
            self._bytes += _size(page)
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
            if page[-1].offset < offset:
                return ()
            self._pages.move_to_end((partition, firsts[place]))
        begin = offset - page[0].offset
        return bounded(page[begin : begin + limit])

    def forget(self, partition: PartitionKey) -> None:
        """Drop what is kept of a partition."""
        with self._lock:
            for first in tuple(self._firsts.get(partition, ())):
                self._drop((partition, first))

    def _drop(self, key: tuple[PartitionKey, int]) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self._bytes -= _size(page)
            self._firsts[key[0]].remove(key[1])


def bounded(page: Sequence[Stored]) -> Sequence[Stored]:
    """As many values as a read may return, at least one."""
    size_bytes = 0
    for number, stored in enumerate(page):
        size_bytes += len(stored.value)
        if size_bytes > READ_BYTES_MAX and number > 0:
            return page[:number]
    return page


def _size(page: Sequence[Stored]) -> int:
    return sum([len(stored.value) for stored in page]) + STORED_BYTES * len(page)
