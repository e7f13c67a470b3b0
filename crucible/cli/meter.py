"""How far something is that takes a while, on standard error: nothing for what is done at once."""

from __future__ import annotations

import sys
import time

from crucible.cli.text import duration, warn

SILENT_S = 2.0
"""What is done by then says nothing."""
TERMINAL_EVERY_S = 0.2
PIPE_EVERY_S = 10.0


class Meter:
    """Says how many of how many are done, how fast, and how long the rest will take. Call it often."""

    def __init__(self, doing: str, unit: str = "records") -> None:
        """``doing`` is what is said to go on."""
        self._doing = doing
        self._unit = unit
        self._began = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._next = self._began + SILENT_S
        self._has_said = False

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (TERMINAL_EVERY_S if self._is_terminal else PIPE_EVERY_S)
        seconds = now - self._began
        rate = done / seconds
        left = f", about {duration((total - done) / rate)} left" if rate else ""
        self._say(f"{self._doing}: {done:,} of {total:,} {self._unit}, {rate:,.0f} a second{left}")

    def finish(self) -> None:
        """Leave a clean line."""
        if self._has_said and self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _say(self, text: str) -> None:
        self._has_said = True
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            warn(text)
