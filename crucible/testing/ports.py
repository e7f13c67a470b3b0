"""Clocks and ids that a test decides on: the same in every run."""

from __future__ import annotations

import random
import threading
import uuid

START_US = 1_767_225_600_000_000
"""2026-01-01 00:00:00 UTC, where a virtual clock starts."""


class VirtualClock:
    """A clock that stands still until someone sleeps on it or moves it. Any thread may."""

    def __init__(self, *, now_us: int = START_US) -> None:
        """Start at ``now_us``, with 0 on the monotonic clock."""
        self._lock = threading.Lock()
        self._start_us = now_us
        self._elapsed_us = 0

    def now_us(self) -> int:
        """Wall time in microseconds since the epoch."""
        with self._lock:
            return self._start_us + self._elapsed_us

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        with self._lock:
            return self._elapsed_us / 1e6

    def sleep(self, seconds: float) -> None:
        """Return at once, ``seconds`` later."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass. Raises ``ValueError`` for less than 0: the monotonic clock never goes back."""
        if seconds < 0:
            message = f"time does not go back: {seconds} s"
            raise ValueError(message)
        with self._lock:
            self._elapsed_us += round(seconds * 1e6)

    def set_wall(self, now_us: int) -> None:
        """Set the wall clock, as an administrator or NTP does; the monotonic clock does not notice."""
        with self._lock:
            self._start_us = now_us - self._elapsed_us


class SeededIds:
    """UUIDv7s that a seed decides: ascending, a millisecond apart, with seeded random bits."""

    def __init__(self, seed: int = 0, *, start_us: int = START_US) -> None:
        """Ids from ``start_us`` on; two seeds never share an id in practice."""
        self._lock = threading.Lock()
        self._random = random.Random(seed)  # noqa: S311  determinism is the point
        self._milliseconds = start_us // 1000

    def uuid7(self) -> str:
        """The next id."""
        with self._lock:
            self._milliseconds += 1
            stamp = self._milliseconds
            bits = self._random.getrandbits(74)
        high = stamp << 16 | 0x7000 | bits >> 62
        low = 0x8000_0000_0000_0000 | bits & 0x3FFF_FFFF_FFFF_FFFF
        return str(uuid.UUID(int=high << 64 | low))
