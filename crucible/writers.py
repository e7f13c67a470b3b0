"""Who may be writing into a log's folder now: workers, scripts and the engine, by the locks that they hold.

A lock file is as old as its process, and whatever that process wrote is younger: so what is older than every living
writer is nobody's work in progress, whatever clocks say elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from crucible.place import Place


def oldest_writer_start(place: Place) -> float | None:
    """When the oldest of the living workers, scripts and engine began, seconds since the epoch; None if none lives."""
    starts = [start for path in _lock_files(place) if (start := _start_of_holder(path)) is not None]
    if _start_of_holder(place.engine_lock) is not None:
        starts.append(_engine_start(place))
    return min(starts, default=None)


def living_workers(place: Place) -> list[str]:
    """Ids of the workers and scripts of this host that live, sorted."""
    return sorted(path.stem for path in _lock_files(place) if _start_of_holder(path) is not None)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock file."""
    return _start_of_holder(path) is not None


def _engine_start(place: Place) -> float:
    """The address of an engine is written when it starts; one that has none yet may have begun at any time."""
    try:
        return place.owner.stat().st_mtime
    except OSError:
        return 0.0


def _lock_files(place: Place) -> list[Path]:
    try:
        return sorted(path for path in place.workers.iterdir() if path.suffix == ".lock")
    except OSError:
        return []


def _start_of_holder(path: Path) -> float | None:
    """When the holder of a lock file made it; None if the file is gone or nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.fstat(descriptor).st_mtime
    return None
