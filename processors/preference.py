"""Which worker goes first at a stage, so that a thousand workers do not all ask for the same one.

Workers stand on a ring at the hashes of their ids; a stage is for the first one behind its own hash that can take it.
All that have read the same see the same worker, and a look costs no more with a thousand workers than with ten, as long
as some of them are free.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from crucible.rules.state import WorkerState

POINTS: Final = 8
"""Places of each worker on the ring: with one place some would have many times the share of others."""


def point(*parts: object) -> int:
    """A place on the ring."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


class Preference:
    """The workers that are there, on a ring. For one thread at a time."""

    def __init__(self) -> None:
        """Nobody is there."""
        self._known: Mapping[str, WorkerState] | None = None
        self._places: dict[str, list[tuple[int, str]]] = {}
        self._points: list[int] = []
        self._ids: list[str] = []

    def first(self, at: int, workers: Mapping[str, WorkerState], can_take: Callable[[WorkerState], bool]) -> str | None:
        """The first worker behind a place on the ring that can take it; None if nobody can.

        ``workers`` are those that are there: a mapping that is not changed any more.
        """
        if self._known is not workers:
            self._arrange(workers)
        ids = self._ids
        start = bisect.bisect_left(self._points, at)
        asked: set[str] = set()
        for index in range(start, start + len(ids)):
            worker_id = ids[index % len(ids)]
            if worker_id in asked:
                continue
            asked.add(worker_id)
            if can_take(workers[worker_id]):
                return worker_id
        return None

    def _arrange(self, workers: Mapping[str, WorkerState]) -> None:
        known = self._places
        self._places = {
            worker_id: known.get(worker_id) or [(point(worker_id, number), worker_id) for number in range(POINTS)]
            for worker_id in workers
        }
        ring = sorted(place for places in self._places.values() for place in places)
        self._points = [place for place, _ in ring]
        self._ids = [worker_id for _, worker_id in ring]
        self._known = workers
