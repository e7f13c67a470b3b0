"""Group commit: of the threads that want to append, one appends for all that wait.

A thread that finds nobody appending does it itself at once, without a change of threads; whoever comes meanwhile
waits, and the next one to wake takes all of them together into one transaction.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from crucible.errors import AppendUnknownError, LogError
from crucible.log.frame import Body
from crucible.log.protocol import Appended

GROUP_BYTES_MAX = 4 * 1024 * 1024
"""A group takes no further call once it holds this many bytes."""


class Call:
    """What one call of ``append`` wants, and what became of it."""

    __slots__ = ("appended", "bodies", "error", "is_done", "size_bytes")

    def __init__(self, bodies: Sequence[Body]) -> None:
        """Nothing has become of it yet."""
        self.bodies = bodies
        self.size_bytes = sum([len(body.tail) for body in bodies])
        self.appended: Sequence[Appended] = ()
        self.error: LogError | None = None
        self.is_done = False


class CommitQueue:
    """The calls that wait, and the one thread that works for them."""

    def __init__(self, commit: Callable[[Sequence[Call]], None]) -> None:
        """``commit`` appends the calls in one transaction and fills in ``appended``, or raises a ``LogError``."""
        self._commit = commit
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Call] = deque()
        self._is_busy = False

    def append(self, call: Call) -> Sequence[Appended]:
        """Have the call appended. Raises what ``commit`` raised for its group."""
        with self._changed:
            self._waiting.append(call)
        while not call.is_done:
            self._take_turn(call)
        if call.error is not None:
            raise type(call.error)(str(call.error)) from call.error
        return call.appended

    def _take_turn(self, call: Call) -> None:
        """Wait until the call is done, or until nobody works, and then work for all that wait."""
        group: list[Call] = []
        error: LogError | None = AppendUnknownError("the thread that was appending was interrupted: send it again")
        try:
            with self._changed:
                while self._is_busy and not call.is_done:
                    self._changed.wait()
                if call.is_done:
                    return
                self._is_busy = True
                group = self._next_group()
            self._commit(group)
            error = None
        except LogError as failure:
            error = failure
        finally:
            self._finish(call, group, error)

    def _next_group(self) -> list[Call]:
        """The calls that have waited longest, at least one."""
        group = [self._waiting.popleft()]
        size_bytes = group[0].size_bytes
        while self._waiting and size_bytes < GROUP_BYTES_MAX:
            group.append(self._waiting.popleft())
            size_bytes += group[-1].size_bytes
        return group

    def _finish(self, call: Call, group: list[Call], error: LogError | None) -> None:
        """Tell the group what became of it; a call that was interrupted before its turn is withdrawn."""
        with self._changed:
            if group:
                for done in group:
                    done.error = error
                    done.is_done = True
                self._is_busy = False
                self._changed.notify_all()
            elif not call.is_done and call in self._waiting:
                self._waiting.remove(call)
