"""The reading halves of a spool: points by NumPy, frames one by one, both from a cursor on.

A reader only moves when it is told to, after what it read is on the log. Commit words are read before the entries that
they commit, so that no half-written entry is ever taken, and files are read with ``pread``, never mapped, so that a
file that another drain removes is no accident.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.errors import SpoolError
from crucible.spool import frames, layout
from crucible.spool.layout import COMMIT, ENTRY, FRAME
from crucible.spool.layout import segment_numbers as _numbers
from crucible.spool.layout import segment_path as _path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_READ_BYTES = 4 * 1024 * 1024
"""About how much of the frames is read at once."""


def entry_dtype() -> np.dtype[np.void]:
    """The layout of an entry for NumPy."""
    import numpy as np

    return np.dtype(
        {
            "names": ["name_index", "step", "time_us", "value", "commit"],
            "formats": ["<u4", "<i8", "<i8", "<f8", "<u8"],
            "offsets": [0, 8, 16, 24, 32],
            "itemsize": ENTRY.size,
        }
    )


class MetricReader:
    """The points of a spool. Everything below ``sequence`` was read and told so."""

    def __init__(self, folder: Path, *, entries_per_segment: int) -> None:
        """Stand at the oldest segment that is there."""
        self._folder = folder
        self._entries = entries_per_segment
        self._names: list[str] = []
        self._names_offset = 0
        numbers = _numbers(folder, "m")
        self.sequence = numbers[0] * self._entries if numbers else 0

    def read(self, sequence: int, limit: int) -> NDArray[np.void]:
        """Up to ``limit`` points of one segment from ``sequence`` on, as ``entry_dtype``; empty if there are none."""
        import numpy as np

        number, index = divmod(sequence, self._entries)
        data = b""
        with contextlib.suppress(FileNotFoundError), _opened(_path(self._folder, "m", number)) as handle:
            count = min(_committed(handle, self._entries, sequence, index) - index, limit)
            data = os.pread(handle, count * ENTRY.size, index * ENTRY.size)
        return np.frombuffer(data, dtype=entry_dtype())

    def advance(self, count: int) -> None:
        """Stand ``count`` points further."""
        self.sequence += count

    def skip_removed(self) -> None:
        """If the segment at hand was removed by another drain, stand at the oldest that is there."""
        number = self.sequence // self._entries
        numbers = _numbers(self._folder, "m")
        if number not in numbers and (later := [other for other in numbers if other > number]):
            self.sequence = later[0] * self._entries

    def end(self) -> int:
        """The next sequence that the writer will use, as of now. May be called from any thread."""
        sequence = self.sequence
        while True:
            number, index = divmod(sequence, self._entries)
            try:
                with _opened(_path(self._folder, "m", number)) as handle:
                    committed = _committed(handle, self._entries, sequence, index)
            except FileNotFoundError:
                return max(sequence, self.sequence)
            sequence = number * self._entries + committed
            if committed < self._entries:
                return sequence

    def names(self, count: int) -> list[str]:
        """The first ``count`` names at least. Raises ``SpoolError`` if there are fewer."""
        if len(self._names) < count:
            data = b""
            with contextlib.suppress(FileNotFoundError), _opened(self._folder / layout.NAMES_FILE) as handle:
                data = os.pread(handle, os.fstat(handle).st_size - self._names_offset, self._names_offset)
            whole = data[: data.rfind(b"\n") + 1]
            self._names += [json.loads(line) for line in whole.splitlines()]
            self._names_offset += len(whole)
        if len(self._names) < count:
            message = f"{self._folder / layout.NAMES_FILE} holds {len(self._names)} names, the points use {count}"
            raise SpoolError(message)
        return self._names

    def remove_read(self) -> None:
        """Remove the segments of which every point was read."""
        for number in _numbers(self._folder, "m"):
            if (number + 1) * self._entries <= self.sequence:
                _path(self._folder, "m", number).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True, slots=True)
class FrameCursor:
    """Where a reader of frames stands."""

    segment: int
    offset: int
    sequence: int


class FrameReader:
    """The frames of a spool. ``cursor`` is where the next one begins."""

    def __init__(self, folder: Path) -> None:
        """Stand at the oldest segment that is there."""
        self._folder = folder
        numbers = _numbers(folder, "r")
        self.cursor = FrameCursor(numbers[0] if numbers else 0, 0, 0)

    def read(self) -> tuple[list[frames.Frame], FrameCursor]:
        """Frames of about ``FRAME_READ_BYTES`` from the cursor on, and the cursor after them.

        A frame that is cut off ends the read; it is skipped once there is a next segment, for then nobody will
        complete it.
        """
        data, cursor = self._bytes(FRAME_READ_BYTES)
        found = []
        offset = 0
        for sequence, kind, start, end in frames.whole_frames(data):
            content = frames.decode_body(kind, data[start:end])
            found.append(frames.Frame(sequence, content, end - offset))
            offset = end
            cursor = FrameCursor(cursor.segment, cursor.offset + found[-1].size_bytes, sequence + 1)
        return found, cursor

    def advance(self, cursor: FrameCursor) -> None:
        """Stand at ``cursor``."""
        self.cursor = cursor

    def end(self) -> int:
        """The next sequence that the writer will use, as of now. May be called from any thread."""
        cursor = self.cursor
        sequence = cursor.sequence
        for number in _numbers(self._folder, "r"):
            if number < cursor.segment:
                continue
            start = cursor.offset if number == cursor.segment else 0
            with contextlib.suppress(FileNotFoundError), _opened(_path(self._folder, "r", number)) as handle:
                data = os.pread(handle, os.fstat(handle).st_size - start, start)
                for found, _, _, _ in frames.whole_frames(data):
                    sequence = found + 1
        return max(sequence, self.cursor.sequence)

    def remove_read(self) -> None:
        """Remove the segments of which every frame was read."""
        for number in _numbers(self._folder, "r"):
            if number < self.cursor.segment:
                _path(self._folder, "r", number).unlink(missing_ok=True)

    def _bytes(self, limit: int) -> tuple[bytes, FrameCursor]:
        """Bytes from the cursor on, more than ``limit`` only if a single frame is longer."""
        cursor = self.cursor
        later = [number for number in _numbers(self._folder, "r") if number > cursor.segment]
        data = self._tail(cursor, limit)
        if later and not any(frames.whole_frames(data)):
            cursor = FrameCursor(later[0], 0, cursor.sequence)
            data = self._tail(cursor, limit)
        return data, cursor

    def _tail(self, cursor: FrameCursor, limit: int) -> bytes:
        try:
            with _opened(_path(self._folder, "r", cursor.segment)) as handle:
                data = os.pread(handle, limit, cursor.offset)
                if len(data) == limit and (first := FRAME.size + FRAME.unpack_from(data)[0]) > limit:
                    data = os.pread(handle, min(first, FRAME.size + frames.FRAME_BYTES_MAX), cursor.offset)
                return data
        except FileNotFoundError:
            return b""


def _committed(handle: int, entries: int, sequence: int, index: int) -> int:
    """How many entries of a segment are committed, given that ``index`` is where ``sequence`` belongs.

    Entries are committed in order, so halving finds the border.
    """
    first = sequence - index

    def is_committed(at: int) -> bool:
        word = os.pread(handle, COMMIT.size, (at + 1) * ENTRY.size - COMMIT.size)
        return len(word) == COMMIT.size and COMMIT.unpack(word)[0] == first + at + 1

    low, high = index, entries
    step = 64
    while low < high and is_committed(min(low + step, high) - 1):
        low = min(low + step, high)
        step *= 2
    high = min(low + step, high)
    while low < high:
        middle = (low + high) // 2
        if is_committed(middle):
            low = middle + 1
        else:
            high = middle
    return low


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
