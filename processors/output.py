"""What a stage prints: read as it comes, kept up to a limit, counted beyond it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Final, Protocol

OUTPUT_BYTES_MAX: Final = 16 * 1024 * 1024
"""What is kept of one claim; the rest is counted as dropped."""
PART_BYTES: Final = 256 * 1024
"""As soon as so much has come it is passed on."""
PART_S: Final = 1.0
"""What has come is passed on after this long at the latest."""
READ_BYTES: Final = 64 * 1024


class Sink(Protocol):
    """Where printed bytes go."""

    def __call__(self, stream: str, data: bytes, dropped_bytes: int) -> None:
        """Keep ``data``; ``dropped_bytes`` more were not kept."""
        ...


class Output:
    """The two streams of one claim. For one thread."""

    def __init__(self, sink: Sink, monotonic: Callable[[], float], *, bytes_max: int = OUTPUT_BYTES_MAX) -> None:
        """Pass on to ``sink``."""
        self._sink = sink
        self._monotonic = monotonic
        self._room_bytes = bytes_max
        self._parts: dict[str, bytearray] = {}
        self._dropped: dict[str, int] = {}
        self._due_s: float | None = None

    @property
    def due_s(self) -> float | None:
        """When `flush` is to be called, on the monotonic clock; None: nothing waits."""
        return self._due_s

    def read(self, stream: str, descriptor: int, *, is_rest: bool = False) -> bool:
        """Read a non-blocking pipe once, or with ``is_rest`` until it is empty; False when it has no writer left."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(descriptor, READ_BYTES):
                self._take(stream, data)
                if not is_rest:
                    return True
            return False
        return True

    def flush(self) -> None:
        """Pass on what waits."""
        self._due_s = None
        for stream, part in self._parts.items():
            self._pass_on(stream, part)

    def finish(self) -> None:
        """Pass on what waits, and how much was dropped."""
        self.flush()
        for stream, dropped in self._dropped.items():
            self._sink(stream, b"", dropped)
        self._dropped.clear()

    def _take(self, stream: str, data: bytes) -> None:
        kept = data[: self._room_bytes]
        self._room_bytes -= len(kept)
        if len(kept) < len(data):
            self._dropped[stream] = self._dropped.get(stream, 0) + len(data) - len(kept)
        if not kept:
            return
        part = self._parts.setdefault(stream, bytearray())
        part += kept
        if self._due_s is None:
            self._due_s = self._monotonic() + PART_S
        if len(part) >= PART_BYTES:
            self._pass_on(stream, part)

    def _pass_on(self, stream: str, part: bytearray) -> None:
        if part:
            self._sink(stream, bytes(part), 0)
            part.clear()
