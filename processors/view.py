"""The world as the threads of one worker see it: any of them may read on, all of them see the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from crucible.errors import LogCorruptError, LogError
from crucible.journal import Journal
from crucible.processors.follower import Follower, Read
from crucible.rules.state import RunState
from crucible.rules.world import World


class Watcher(Protocol):
    """What hears of changes. It is called with the view's lock held and must be quick."""

    def run_changed(self, run: RunState) -> None:
        """An event changed this run."""
        ...


class View:
    """The folded events of a log. Every method may be called from any thread."""

    def __init__(self, journal: Journal, watcher: Watcher) -> None:
        """Read nothing yet."""
        self._journal = journal
        self._watcher = watcher
        self._follower: Follower | None = None
        self.lock = threading.RLock()
        """Held while the world changes; hold it to look at more than one thing."""

    @property
    def world(self) -> World:
        """What was read so far; for whoever holds the lock."""
        return self._opened().world

    def run(self, run_id: str) -> RunState | None:
        """A run as of what was read so far."""
        with self.lock:
            return self.world.runs.get(run_id)

    def advance(self) -> None:
        """Read to the end of the log as of this call. Raises ``LogError`` when the log does not answer."""
        self._read(Follower.catch_up)

    def take_in(self) -> None:
        """Read what this process knows to be new; after trouble to the end of the log. Raises as ``advance``."""
        with self.lock:
            self._read(Follower.catch_up if self._follower is None else Follower.take_in)

    def _read(self, go_on: Callable[[Follower, Callable[[Read], object]], None]) -> None:
        with self.lock:
            follower = self._opened()
            changed: dict[str, None] = {}

            def note(read: Read) -> None:
                if read.void is None:
                    changed[read.record.key] = None

            try:
                go_on(follower, note)
            except LogCorruptError:
                raise
            except LogError:
                self._follower = None
                raise
            for key in changed:
                run = follower.world.runs.get(key)
                if run is not None:
                    self._watcher.run_changed(run)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is more to read; False when ``timeout_s`` passed first. Raises ``LogError``."""
        with self.lock:
            offsets = self._opened().position.offsets
        return self._journal.log.wait(offsets, timeout_s)

    def _opened(self) -> Follower:
        if self._follower is None:
            self._follower = Follower(self._journal, ("events",))
        return self._follower
