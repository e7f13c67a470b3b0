"""Idle children: given to the next stage of the same code, replaced when they are worn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from crucible.processors.child_process import ChildProcess, CodeKey

IDLE_PER_SLOT: Final = 2
"""How many children wait for work, for each slot: one for each of two experiments at once."""


class Nursery:
    """Children that wait for a stage. Any thread may call it."""

    def __init__(self, fork: Callable[[], ChildProcess], *, slots: int) -> None:
        """Make children with ``fork`` as they are needed."""
        self._fork = fork
        self._idle_max = IDLE_PER_SLOT * slots
        self._lock = threading.Lock()
        self._idle: list[ChildProcess] = []

    def warm(self, count: int) -> None:
        """Fork children ahead. Raises ``StorageError`` if that fails."""
        for _ in range(count):
            child = self._fork()
            with self._lock:
                self._idle.append(child)

    def take(self, code: CodeKey) -> ChildProcess:
        """A child that has imported this code, else one that has imported none. Raises ``StorageError``."""
        with self._lock:
            for wanted in (code, None):
                for child in reversed(self._idle):
                    if child.code == wanted:
                        self._idle.remove(child)
                        return child
        return self._fork()

    def give_back(self, child: ChildProcess, *, is_fit: bool) -> None:
        """Keep a child for another stage. One that is not fit has ended already; one that is worn ends now."""
        if not is_fit:
            child.end()
            child.close()
            return
        if child.is_worn:
            child.retire()
            return
        with self._lock:
            self._idle.append(child)
            oldest = self._idle.pop(0) if len(self._idle) > self._idle_max else None
        if oldest is not None:
            oldest.retire()

    def close(self) -> None:
        """End all idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.retire()
