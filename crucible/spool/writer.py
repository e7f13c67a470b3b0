"""The writing half of a spool: what ``run.log`` and its sisters call.

A point is one ``pack_into`` of a mapped file whose last field is the commit word, so that after ``kill -9`` every
point whose ``log`` returned is there and none is torn. Segments are allocated before they are mapped: a full disk
raises ``SpoolError`` and never kills the process. Nothing here waits for a log or a broker.

A process that a stage forks opens a spool of its own, in a folder beside that of its parent.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from time import time_ns
from typing import Any, NoReturn, SupportsFloat

from crucible.errors import SpoolError, UsageError
from crucible.spool import frames, layout
from crucible.spool.layout import ENTRY, SEGMENT_BYTES, SPOOL_BYTES_MAX, SpoolMeta
from crucible.spool.lock import HeldLock

_pack_into = ENTRY.pack_into
_ENTRY_BYTES = ENTRY.size


class SpoolWriter:
    """Telemetry of one claim, kept in ``folder`` until it is on the log. Safe to use from any number of threads.

    Nothing is made before the first call that has something to keep.
    """

    def __init__(
        self,
        folder: Path,
        claim_id: str,
        *,
        run_id: str,
        stage: str,
        attempt: int,
        segment_bytes: int = SEGMENT_BYTES,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
    ) -> None:
        """Use ``folder``, which is ``place.spool / claim_id``."""
        self.folder = folder
        self.claim_id = claim_id
        self.run_id = run_id
        self.stage = stage
        self.attempt = attempt
        self._segment_bytes = segment_bytes
        self._spool_bytes_max = spool_bytes_max
        self._is_closed = False
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        """Stand as if nothing had been written: at the start, and in a forked child."""
        self._lock = threading.Lock()
        self._owner_lock: HeldLock | None = None
        self._names: dict[str, int] = {}
        self._names_handle: int | None = None
        self._names_bytes = 0
        self._points: mmap.mmap | None = None
        self._offset = 0
        self._offset_end = 0
        self._sequence = 0
        self._frames_handle: int | None = None
        self._frames_bytes = 0
        self._frames_segments = 0
        self._frame_sequence = 0

    def log(self, values: Mapping[str, SupportsFloat], step: int | None = None, time_us: int | None = None) -> None:
        """Keep a point for each name. NaN, infinity, repeated steps and steps out of order are kept as they are.

        ``step`` counts from 1, None: none. ``time_us`` is microseconds since the epoch, None: now.
        Raises ``UsageError`` for a name or value that can't be kept, ``SpoolError`` on a full disk or a full spool.
        """
        if step is None:
            step = 0
        if time_us is None:
            time_us = time_ns() // 1000
        with self._lock:
            for name, value in values.items():
                index = self._names.get(name)
                if index is None:
                    index = self._add_name(name)
                offset = self._offset
                if offset == self._offset_end:
                    self._next_points_segment()
                    offset = 0
                sequence = self._sequence + 1
                try:
                    _pack_into(self._points, offset, index, step, time_us, value, sequence)  # type: ignore[arg-type]
                except (struct.error, TypeError, ValueError, OverflowError) as error:
                    self._refuse(name, value, step, error)
                self._sequence = sequence
                self._offset = offset + _ENTRY_BYTES

    def prediction(
        self,
        item_id: object,
        *,
        split: str = "",
        prediction: object = None,
        score: SupportsFloat | None = None,
        label: object = None,
        output: object = None,
        is_simulated: bool = False,
        time_us: int | None = None,
    ) -> None:
        """Keep one scored item. Prediction, label and output become text; None means that there is none.

        Raises ``UsageError`` for an id, text or score that can't be kept, ``SpoolError`` on a full disk or spool.
        """
        try:
            number = None if score is None else float(score)
        except (TypeError, ValueError, OverflowError):
            message = f"the score of item {item_id!r} is {score!r}; expected a number or None"
            raise UsageError(message) from None
        self._write_frame(
            frames.Prediction(
                split=frames.plain_text(split, what="the split", bytes_max=frames.ID_BYTES_MAX),
                item_id=frames.plain_text(item_id, what="the item id", bytes_max=frames.ID_BYTES_MAX),
                score=number,
                label=_text(label, "the label"),
                prediction=_text(prediction, "the prediction"),
                output=_text(output, "the output"),
                time_us=_now_us(time_us),
                is_simulated=is_simulated,
            )
        )

    def span(
        self,
        name: str,
        *,
        span_id: str,
        start_us: int,
        end_us: int,
        parent_span_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a timed piece of work; ids are W3C span ids. Attributes that JSON can't hold become text.

        Raises ``UsageError`` for more than can be kept, ``SpoolError`` on a full disk or spool.
        """
        self._write_frame(
            frames.SpanFrame(
                name=frames.plain_text(name, what="the span's name", bytes_max=frames.ID_BYTES_MAX),
                span_id=span_id,
                parent_span_id=parent_span_id,
                start_us=start_us,
                end_us=end_us,
                attributes=frames.plain_attributes(attributes or {}),
            )
        )

    def log_lines(self, stream: str, data: bytes, *, dropped_bytes: int = 0, time_us: int | None = None) -> None:
        """Keep what was printed to ``stream`` (stdout or stderr)."""
        now_us = _now_us(time_us)
        for start in range(0, max(len(data), 1), frames.LINES_BYTES_MAX):
            part = data[start : start + frames.LINES_BYTES_MAX]
            self._write_frame(frames.Lines(stream, dropped_bytes if start == 0 else 0, now_us, part))

    def mark(self) -> dict[str, int]:
        """For each channel of this process's spool, the next sequence: everything logged so far lies below."""
        with self._lock:
            return {
                layout.spool_id(self.folder, "m"): self._sequence,
                layout.spool_id(self.folder, "r"): self._frame_sequence,
            }

    def close(self) -> None:
        """End the spool: it may be drained to its end and removed. Safe to call twice."""
        with self._lock:
            self._is_closed = True
            points, self._points = self._points, None
            self._offset = self._offset_end = 0
            if points is not None:
                points.close()
            for handle in (self._names_handle, self._frames_handle):
                if handle is not None:
                    os.close(handle)
            self._names_handle = self._frames_handle = None
            self._names = {}
            if self._owner_lock is not None:
                self._owner_lock.release()

    def _begin_anew_in_child(self) -> None:
        """Leave the parent's spool to the parent, and use one beside it."""
        for handle in (self._names_handle, self._frames_handle):
            if handle is not None:
                os.close(handle)
        self.folder = self.folder.with_name(f"{self.claim_id}.{os.urandom(4).hex()}")
        self._reset()

    def _open(self) -> None:
        """Make the folder: under another name first, so that it appears with its meta data and its lock held."""
        if self._is_closed:
            message = f"the telemetry of claim {self.claim_id} is closed: its stage has ended"
            raise SpoolError(message)
        if self._owner_lock is not None:
            return
        new = self.folder.with_name(f"{layout.NEW_PREFIX}{self.folder.name}-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            new.mkdir(parents=True)
            lock = HeldLock.take(new / layout.LOCK_FILE, is_created=True)
            SpoolMeta(self.run_id, self.stage, self.attempt, self.claim_id, os.getpid(), self._segment_bytes).write(new)
            new.rename(self.folder)
        except OSError as error:
            self._fail(error)
        self._owner_lock = lock

    def _add_name(self, name: str) -> int:
        """Write a name that is new, before the first point that uses it."""
        if not isinstance(name, str) or not name or not name.isprintable():
            message = f"{name!r} is no metric name; expected printable text such as 'train/loss'"
            raise UsageError(message)
        if len(name.encode()) > layout.NAME_BYTES_MAX:
            message = f"metric name {name[:40]!r}… has more than {layout.NAME_BYTES_MAX} bytes; shorten it"
            raise UsageError(message)
        if len(self._names) >= layout.NAMES_MAX:
            message = (
                f"more than {layout.NAMES_MAX} metric names; put what varies into the step or the value, not the name"
            )
            raise UsageError(message)
        self._open()
        try:
            if self._names_handle is None:
                self._names_handle = _open_to_append(self.folder / layout.NAMES_FILE)
            line = json.dumps(str(name)).encode() + b"\n"
            _append_whole(self._names_handle, line, self._names_bytes)
        except OSError as error:
            self._fail(error)
        self._names_bytes += len(line)
        self._names[name] = index = len(self._names)
        return index

    def _next_points_segment(self) -> None:
        """Allocate and map the next segment: on a full disk this fails here, not as SIGBUS in the middle of a write."""
        self._open()
        entries = self._segment_bytes // _ENTRY_BYTES
        path = layout.segment_path(self.folder, "m", self._sequence // entries)
        self._check_room()
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(handle, 0, self._segment_bytes)
                points = mmap.mmap(handle, self._segment_bytes)
                points.madvise(mmap.MADV_RANDOM)  # else the first write may clear the whole segment: 1.5 ms
            except OSError:
                path.unlink()
                raise
            finally:
                os.close(handle)
        except OSError as error:
            self._fail(error)
        self._points, self._offset, self._offset_end = points, 0, entries * _ENTRY_BYTES

    def _write_frame(self, content: frames.Content) -> None:
        with self._lock:
            data = frames.encode_frame(self._frame_sequence, content)
            self._open()
            try:
                if self._frames_handle is None or self._frames_bytes >= self._segment_bytes:
                    self._next_frames_segment()
                assert self._frames_handle is not None
                _append_whole(self._frames_handle, data, self._frames_bytes)
            except OSError as error:
                self._fail(error)
            self._frames_bytes += len(data)
            self._frame_sequence += 1

    def _next_frames_segment(self) -> None:
        self._check_room()
        handle = _open_to_append(layout.segment_path(self.folder, "r", self._frames_segments))
        if self._frames_handle is not None:
            os.close(self._frames_handle)
        self._frames_handle, self._frames_bytes = handle, 0
        self._frames_segments += 1

    def _check_room(self) -> None:
        """Raise ``SpoolError`` if another segment would exceed the limit."""
        used_bytes = layout.used_bytes(self.folder)
        if used_bytes + self._segment_bytes > self._spool_bytes_max:
            message = (
                f"telemetry of run {self.run_id}, stage {self.stage}: {used_bytes} bytes in {self.folder} are not on "
                f"the log yet, the limit is {self._spool_bytes_max}; see that the log answers, or log less"
            )
            raise SpoolError(message)

    def _refuse(self, name: str, value: object, step: object, error: Exception) -> NoReturn:
        try:
            struct.pack("<d", value)
        except (struct.error, TypeError, ValueError, OverflowError):
            message = f"metric {name!r} has the value {value!r:.80}; expected a number that a float can hold ({error})"
        else:
            message = f"metric {name!r} was logged at step {step!r:.80}; expected a whole number below 2**63 ({error})"
        raise UsageError(message) from None

    def _fail(self, error: OSError) -> NoReturn:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        advice = "free some space" if is_full else "look at the folder's rights"
        message = (
            f"telemetry of run {self.run_id}, stage {self.stage} can't be kept in {self.folder}: "
            f"{error.strerror}; {advice}, then resume the run"
        )
        raise SpoolError(message) from error


def _now_us(time_us: int | None) -> int:
    return time_ns() // 1000 if time_us is None else time_us


def _text(value: object, what: str) -> str | None:
    return None if value is None else frames.plain_text(value, what=what, bytes_max=frames.TEXT_BYTES_MAX)


def _open_to_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _append_whole(handle: int, data: bytes, before: int) -> None:
    """Append all of ``data`` to ``before`` bytes or nothing: what a full disk cut off is taken back."""
    try:
        is_whole = os.write(handle, data) == len(data)
    except OSError:
        os.ftruncate(handle, before)
        raise
    if not is_whole:
        os.ftruncate(handle, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_writers: weakref.WeakSet[SpoolWriter] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    for writer in list(_writers):
        writer._begin_anew_in_child()  # noqa: SLF001 - the other half of the class, called once for each fork


os.register_at_fork(after_in_child=_begin_anew_in_child)
