"""How a sleeping reader learns of an append: the appender writes one byte to a file, readers watch that file.

Watching the write-ahead log itself missed half of the wake-ups. Where no more watches are to be had, or the system
has none, readers look again every few milliseconds instead.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from pathlib import Path

_IN_MODIFY = 0x00000002
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC
_EVENTS_BYTES = 4096
"""Room for a few hundred events; the kernel merges equal ones anyway."""
BLIND_POLL_S = 0.005
"""How often a reader without a watch looks."""
WATCHED_POLL_S = 0.25
"""How often a reader with a watch looks all the same: an appender may die between its commit and the bell."""


class Bell:
    """The file that appenders touch."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises ``OSError``."""
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.ring()

    def ring(self) -> None:
        """Wake all readers. Raises ``OSError``."""
        os.pwrite(self._descriptor, b"\a", 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Listener:
    """One sleeper's watch on a bell; used by one thread at a time."""

    def __init__(self, path: Path, *, is_blind: bool = False) -> None:
        """Watch the file, or go without a watch if the system gives none (``is_blind``: do not even ask)."""
        self._descriptor = -1 if is_blind else _watch(path)
        self._poll = select.poll()
        if self._descriptor >= 0:
            self._poll.register(self._descriptor, select.POLLIN)

    @property
    def is_blind(self) -> bool:
        """Whether there is no watch."""
        return self._descriptor < 0

    def clear(self) -> None:
        """Forget what was rung so far: whoever looks after this call misses nothing that is rung later."""
        if self._descriptor >= 0 and self._poll.poll(0):
            self._drain()

    def sleep(self, timeout_s: float) -> bool:
        """Sleep until the bell rings, ``timeout_s`` pass, or it is time to look anyway; True if it rang."""
        if self._descriptor < 0:
            time.sleep(min(timeout_s, BLIND_POLL_S))
            return False
        has_rung = bool(self._poll.poll(min(timeout_s, WATCHED_POLL_S) * 1000))
        if has_rung:
            self._drain()
        return has_rung

    def close(self) -> None:
        """Give the watch back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _drain(self) -> None:
        try:
            os.read(self._descriptor, _EVENTS_BYTES)
        except BlockingIOError:
            return


def _watch(path: Path) -> int:
    """A descriptor of a new inotify watch on ``path``, or -1."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = int(library.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC))
    except AttributeError:
        return -1
    if descriptor < 0:
        return -1
    if library.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(descriptor)
        return -1
    return descriptor
