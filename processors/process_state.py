"""What a stage may change of its process and the next stage would inherit: limits, timers, signals, search path."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C half of signal has no stubs
import contextlib
import gc
import os
import resource
import signal
import sys
from typing import Final

LIMITS: Final = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_handler_of: Final = _signal.getsignal
"""As ``signal.getsignal``, without the enumerations that cost most of its time: it is asked for each signal."""
NOT_OURS: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})


class ProcessState:
    """The state of this process as it was when this was made."""

    def __init__(self) -> None:
        """Remember it."""
        self._limits = {number: resource.getrlimit(number) for number in LIMITS}
        self._handlers = {number: _handler_of(number) for number in map(int, signal.valid_signals() - NOT_OURS)}
        self._path = list(sys.path)
        self._recursion_limit = sys.getrecursionlimit()
        self._niceness = os.nice(0)
        self._collects = gc.isenabled()

    def restore(self) -> bool:
        """Put back what a stage has changed; False if something can't be: then the process is of no more use.

        A longer search path stays as it is: that is what importing a project does.
        """
        for timer in TIMERS:
            signal.setitimer(timer, 0)
        sys.setrecursionlimit(self._recursion_limit)
        if self._collects:
            gc.enable()
        is_whole = set(self._path) <= set(sys.path) and os.nice(0) == self._niceness
        return is_whole and self._have_limits() and self._have_handlers()

    def _have_limits(self) -> bool:
        """Put limits back; False if one can't be."""
        changed = [number for number, limits in self._limits.items() if resource.getrlimit(number) != limits]
        with contextlib.suppress(OSError, ValueError):  # compared below
            for number in changed:
                resource.setrlimit(number, self._limits[number])
        return all(resource.getrlimit(number) == self._limits[number] for number in changed)

    def _have_handlers(self) -> bool:
        """Put the handlers of signals back; False if one can't be."""
        changed = [number for number, handler in self._handlers.items() if _handler_of(number) is not handler]
        with contextlib.suppress(OSError, ValueError):  # compared below
            for number in changed:
                if self._handlers[number] is not None:
                    signal.signal(number, self._handlers[number])
        return all(_handler_of(number) is self._handlers[number] for number in changed)
