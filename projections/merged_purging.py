"""Purging for a merged view: content is removed as of a time up to which all that names it is known.

The copies behind the view are older than now. So the time and the ends of the log are noted together; once the view has
read up to these ends, what was written before that time and is named by nothing else can go.
"""

from __future__ import annotations

import copy
from typing import Any

from crucible.journal import Journal
from crucible.place import Place
from crucible.ports import Clock
from crucible.position import Position
from crucible.projections.identity import log_ends
from crucible.projections.purging import ContentPurger
from crucible.projections.writer import Replacement


class KnownTime:
    """The last moment of which all is known that was on the log then."""

    def __init__(self, journal: Journal) -> None:
        """Of nothing all is known yet."""
        self._journal = journal
        self._noted: tuple[int, Position] | None = None
        self.known_us = 0
        """Microseconds since the epoch; 0: not yet."""

    def look(self) -> None:
        """Note the time and the ends of the log, unless those that were noted are still to be reached."""
        if self._noted is None:
            now_us = self._journal.clock.now_us()
            self._noted = (now_us, Position(log_ends(self._journal)))

    def note(self, position: Position) -> None:
        """The view has this position now."""
        if self._noted is not None:
            now_us, ends = self._noted
            if all(position.offsets.get(key, 0) >= offset for key, offset in ends.offsets.items()):
                self.known_us, self._noted = now_us, None

    def purger(self, place: Place) -> MergedPurger:
        """What purges as of that time."""
        return MergedPurger(self, self._journal, place)


class MergedPurger:
    """Removes the content of purged runs as of a `KnownTime`. For one thread at a time."""

    def __init__(self, known: KnownTime, journal: Journal, place: Place) -> None:
        """``known`` gives the time."""
        self._known = known
        past = copy.copy(journal)
        past.clock = _Past(known, journal.clock)
        self._purger = ContentPurger(past, place)

    def purge(self, cursor: Any, run_id: str) -> list[Replacement]:
        """Remove what only this run, and other purged ones, name; nothing while too little is known."""
        return self._purger.purge(cursor, run_id) if self._known.known_us else []


class _Past:
    """A clock that stands at a `KnownTime`."""

    def __init__(self, known: KnownTime, clock: Clock) -> None:
        self._known = known
        self._clock = clock

    def now_us(self) -> int:
        return self._known.known_us

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
