"""The world as a processor has read it: a tail of the log folded as it comes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from crucible.journal import Entry, Journal
from crucible.position import Position
from crucible.records.record import Record, Topic
from crucible.rules.draft import Void
from crucible.rules.world import World
from crucible.tail import Tail

PAGES_MAX = 1_000
"""Pages that are taken in at once: of a log that grows faster than it is read the rest comes next time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """A record that was read; for an event, whether it had an effect."""

    record: Record
    void: Void | None
    place: tuple[int, int]
    """Offset and partition."""


def _ignore(_read: Read) -> None:
    """The world says enough."""


class Follower:
    """Reads topics and folds their events. For one thread.

    If a read fails, nothing is known of how far it came: make a new follower.
    """

    def __init__(self, journal: Journal, topics: Sequence[Topic]) -> None:
        """Start at the beginning of the log."""
        self.world = World()
        self._tail = Tail(journal, topics)

    @property
    def position(self) -> Position:
        """Everything below was read."""
        return self._tail.position

    def wait(self, timeout_s: float) -> list[Read]:
        """A page of what is new, at once if there is something; else what comes first within ``timeout_s``."""
        found: list[Read] = []
        self._fold(self._tail.poll(timeout_s), found.append)
        return found

    def catch_up(self, note: Callable[[Read], object] = _ignore) -> None:
        """Everything new up to the ends of the log, asked for now; ``note`` is told of each record once it is folded.

        A process that starts on a long log holds a page of it at a time.
        """
        for page in self._tail.pages():
            self._fold(page, note)

    def take_in(self, note: Callable[[Read], object] = _ignore) -> None:
        """What this process knows to be new, its own appends among it, at once: nobody is asked, as with ``Log.ready``.

        For whoever goes on from there, and for whom what comes a moment later is soon enough.
        """
        for _ in range(PAGES_MAX):
            page = self._tail.poll(0.0)
            if not page:
                return
            self._fold(page, note)

    def _fold(self, entries: Sequence[Entry], note: Callable[[Read], object]) -> None:
        apply = self.world.apply
        for entry in entries:
            record = entry.record
            if record is not None:
                void = apply(record) if record.TOPIC == "events" else None
                note(Read(record, void, (entry.stored.offset, entry.stored.partition)))
