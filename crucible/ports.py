"""The doors to the outside that rules never open themselves: clocks and ids.

Disk and log are the other two doors; they have folders of their own.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """Where times come from."""

    def now_us(self) -> int:
        """Wall time in microseconds since the epoch: shown, never decided by."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...


class Ids(Protocol):
    """Where new ids come from."""

    def uuid7(self) -> str:
        """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random bits."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now_us(self) -> int:
        """Wall time in microseconds since the epoch."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class SystemIds:
    """Ids from the system's randomness; within one process they never go back."""

    def __init__(self) -> None:
        """Start with no last id."""
        self._lock = threading.Lock()
        self._last = 0

    def uuid7(self) -> str:
        """A new UUIDv7; the 12 bits after the time count up within a millisecond (RFC 9562, 6.2, method 3)."""
        with self._lock:
            stamp = max(time.time_ns() * 4096 // 1_000_000, self._last + 1)
            self._last = stamp
        high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
        low = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return str(uuid.UUID(int=high << 64 | low))
