"""The lock of an embedded log: one thread of one process at a time opens, appends, checkpoints or closes.

SQLite's own lock sleeps and starves (waits of a second with four writers); ``flock`` wakes the next one at once,
goes with a killed process, and unlike ``lockf`` is not lost when some other code closes the file.

Who appends waits for the lock without a limit: a process that is paused in the middle of an append pauses the log,
and nobody may take that for an answer. Who opens the log waits for a while and then says whom it waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from crucible.errors import LogError

_LOCKS = Path("/proc/locks")


class FileLock:
    """A lock between processes and threads. Not reentrant."""

    def __init__(self, path: Path) -> None:
        """Open the lock's file. Raises ``OSError``."""
        self._path = path
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

    @contextlib.contextmanager
    def within(self, wait_s: float) -> Iterator[None]:
        """Hold the lock. Raises ``LogError`` that names its holder if it can't be had in ``wait_s``.

        For a lock that no other thread uses yet; after an error it can't be used any more.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait(wait_s)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file; in a forked child too, which would otherwise keep the lock alive after its parent."""
        os.close(self._descriptor)

    def _wait(self, wait_s: float) -> None:
        """Wait for the lock in a thread of its own, because waiting for ``flock`` knows no limit."""
        descriptor = os.dup(self._descriptor)
        mutex = threading.Lock()
        is_given_up = False

        def lock() -> None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with mutex:
                if is_given_up:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

        thread = threading.Thread(target=lock, name="log-lock", daemon=True)
        thread.start()
        thread.join(wait_s)
        with mutex:
            is_given_up = thread.is_alive()
        if is_given_up:
            holder = _holder(os.fstat(self._descriptor).st_ino)
            message = (
                f"the log's lock {self._path} is held by {holder} for {wait_s:g} s: "
                "if that process is paused, let it go on or end it, and try again"
            )
            raise LogError(message)


def _holder(inode: int) -> str:
    """Who holds the lock of a file, for people."""
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        lines = []
    # 1: FLOCK ADVISORY WRITE 4711 fe:00:123456 0 EOF
    for fields in lines:
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return f"process {fields[4]}"
    return "another process"
