"""One shared page between a worker and its child: what the worker wants, and how far the stage is.

A step of a training loop must cost microseconds, so both sides read and write numbers in shared memory instead of
sending messages. Each number is eight aligned bytes with one writer.
"""

from __future__ import annotations

import enum
import mmap
import os
import tempfile

BOARD_BYTES = 4096
_WISH, _STEP, _PROGRESS = range(3)


class Wish(enum.IntEnum):
    """What the worker wants of the stage; a higher one replaces a lower one."""

    GO = 0
    """Go on."""
    DRAIN = 1
    """Save a checkpoint and stop: another worker goes on."""
    CANCEL = 2
    """Stop: the run is canceled."""


class Board:
    """The shared page. The worker writes the wish; the stage writes step and progress."""

    def __init__(self, descriptor: int) -> None:
        """Map the page behind an open file of ``BOARD_BYTES``; the file stays the caller's."""
        self._map = mmap.mmap(descriptor, BOARD_BYTES)
        self._numbers = memoryview(self._map).cast("q")

    @classmethod
    def alone(cls) -> Board:
        """A page that nobody shares: for a stage without a worker."""
        descriptor = open_page()
        try:
            return cls(descriptor)
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Begin a stage: go on, no step, no progress."""
        for place in (_WISH, _STEP, _PROGRESS):
            self._numbers[place] = 0

    @property
    def wish(self) -> Wish:
        """What the worker wants."""
        return Wish(self._numbers[_WISH])

    @wish.setter
    def wish(self, wish: Wish) -> None:
        self._numbers[_WISH] = max(wish, self._numbers[_WISH])

    @property
    def is_calm(self) -> bool:
        """Whether the worker wants nothing; the cheap question for a loop."""
        return self._numbers[_WISH] == 0

    @property
    def step(self) -> int:
        """Steps done; 0: none reported."""
        return self._numbers[_STEP]

    @property
    def progress(self) -> int:
        """A count that grows whenever the stage gets somewhere."""
        return self._numbers[_PROGRESS]

    def report_step(self, step: int) -> None:
        """Say that a step is done; that is progress as well."""
        self._numbers[_STEP] = step
        self._numbers[_PROGRESS] += 1

    def report_progress(self) -> None:
        """Say that the stage got somewhere."""
        self._numbers[_PROGRESS] += 1

    def close(self) -> None:
        """Unmap the page."""
        self._numbers.release()
        self._map.close()


def open_page() -> int:
    """A new file of ``BOARD_BYTES`` zeros without a name, as a descriptor that programs started later don't inherit."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("crucible-board", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, BOARD_BYTES)
    return descriptor
