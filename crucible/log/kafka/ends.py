"""How far the partitions are known to reach, and who sleeps until they reach further."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from crucible.log.protocol import Offsets, PartitionKey


class Ends:
    """The ends that were seen. Every method may be called from any thread."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._changed = threading.Condition()
        self._ends: dict[PartitionKey, int] = {}
        self._is_closed = False

    def known(self, partition: PartitionKey) -> int:
        """The end that was seen last; 0 if none was."""
        return self._ends.get(partition, 0)

    def advance(self, ends: Mapping[PartitionKey, int]) -> None:
        """Somebody has seen that partitions reach at least so far."""
        with self._changed:
            for partition, end in ends.items():
                if end > self._ends.get(partition, 0):
                    self._ends[partition] = end
            self._changed.notify_all()

    def correct(self, partition: PartitionKey, end: int) -> None:
        """A partition ends here, whatever was known: it was truncated or made anew."""
        with self._changed:
            self._ends[partition] = end

    def is_beyond(self, offsets: Offsets) -> bool:
        """Whether a partition is known to reach beyond its offset."""
        return any(self._ends.get(partition, 0) > offset for partition, offset in offsets.items())

    def wait_beyond(self, offsets: Offsets, timeout_s: float) -> bool:
        """Sleep until one does; False when the time is over or the log is closed."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self.is_beyond(offsets):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 or self._is_closed:
                    return False
                self._changed.wait(remaining_s)
            return True

    def close(self) -> None:
        """Wake all who sleep."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
