"""Who is inside an open log: so that closing waits for them, and a forked child never uses what it inherited."""

from __future__ import annotations

import os
import threading
from types import TracebackType

from crucible.errors import LogError

CLOSE_WAIT_S = 10.0
"""How long closing waits for calls that are under way."""


class Gate:
    """Counts the calls that are under way. Used as a context around each; calls may nest."""

    def __init__(self, place: str) -> None:
        """Open, for the process that made it."""
        self._place = place
        self._process = os.getpid()
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self.is_closed = False

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that opened the log."""
        return os.getpid() != self._process

    def __enter__(self) -> None:
        """Come in. Raises ``LogError`` if the log is closed or belongs to a parent process."""
        if os.getpid() != self._process:
            message = f"the log at {self._place} was opened by process {self._process}; a forked child opens its own"
            raise LogError(message)
        with self._changed:
            if self.is_closed:
                message = f"the log at {self._place} is closed; open it again"
                raise LogError(message)
            self._inside += 1

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Go out."""
        with self._changed:
            self._inside -= 1
            if self.is_closed:
                self._changed.notify_all()

    def shut(self) -> bool:
        """Let nobody in any more; True for the first who shuts it."""
        with self._changed:
            was_open = not self.is_closed
            self.is_closed = True
            return was_open

    def wait_empty(self) -> None:
        """Wait until all are out. Raises ``LogError`` if some call does not return."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._inside == 0, CLOSE_WAIT_S):
                message = f"the log at {self._place} can't be closed: {self._inside} calls have not returned"
                raise LogError(message)
