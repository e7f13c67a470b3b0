"""What a stage may change of its process and the next stage would inherit: limits, timers, signals, search path."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
from typing import Any, Final

LIMITS: Final = tuple(sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}))
TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
NOT_OURS: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})


class ProcessState:
    """The state of this process as it was when this was made."""

    def __init__(self) -> None:
        """Remember it."""
        self._limits = {number: resource.getrlimit(number) for number in LIMITS}
        self._handlers: dict[int, Any] = {
            number: signal.getsignal(number) for number in signal.valid_signals() - NOT_OURS
        }
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
        with contextlib.suppress(OSError, ValueError):  # compared below
            for number, limits in self._limits.items():
                if resource.getrlimit(number) != limits:
                    resource.setrlimit(number, limits)
            for number, handler in self._handlers.items():
                if signal.getsignal(number) is not handler and handler is not None:
                    signal.signal(number, handler)
        return (
            is_whole
            and all(resource.getrlimit(number) == limits for number, limits in self._limits.items())
            and all(signal.getsignal(number) is handler for number, handler in self._handlers.items())
        )
