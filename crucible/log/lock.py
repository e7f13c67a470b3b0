"""The lock of an embedded log: one thread of one process at a time opens, appends, checkpoints or closes.

SQLite's own lock sleeps and starves (waits of a second with four writers); ``flock`` wakes the next one at once,
goes with a killed process, and unlike ``lockf`` is not lost when some other code closes the file.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType


class FileLock:
    """A lock between processes and threads. Not reentrant."""

    def __init__(self, path: Path) -> None:
        """Open the lock's file. Raises ``OSError``."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._threads = threading.Lock()

    def __enter__(self) -> None:
        """Wait for the lock."""
        self._threads.acquire()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the lock back."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Close the file; in a forked child too, which would otherwise keep the lock alive after its parent."""
        os.close(self._descriptor)
