"""Locks of a spool: who writes it and who drains it, held for as long as a process lives.

An ``flock`` belongs to an open file, which a forked child would inherit and hold on to. Here a child lets go of all of
them, so that a free lock means that the process that took it is gone.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path


class HeldLock:
    """An exclusive ``flock``, held until ``release`` or the end of the process; a forked child has no part in it."""

    __slots__ = ("__weakref__", "_handle")

    def __init__(self, handle: int) -> None:
        """Take over an open file that is locked."""
        self._handle: int | None = handle
        _held.add(self)

    @classmethod
    def take(cls, path: Path, *, is_created: bool = False) -> HeldLock | None:
        """Lock ``path``, or None if another holds it or, without ``is_created``, if there is no such file."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if is_created else 0)
        try:
            handle = os.open(path, flags, 0o644)
        except FileNotFoundError:
            if is_created:
                raise
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return cls(handle)

    def release(self) -> None:
        """Let go. Safe to call twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of ``path``, as of now; True if there is no such file."""
    held = HeldLock.take(path)
    if held is None:
        return not path.exists()
    held.release()
    return True


_held: weakref.WeakSet[HeldLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
