"""Copies of the read model for any DuckDB client, while the engine goes on: ``snapshots/latest.duckdb``.

DuckDB lets no second process open the live file, and its lock is a POSIX lock: opening and closing that file anywhere
in the owner drops it. So a child process copies the checkpointed file, and the owner commits nothing meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.errors import ReadModelError
from crucible.place import Place
from crucible.position import Position

if TYPE_CHECKING:
    from crucible.projections.readmodel import Projector

LATEST = "latest.duckdb"
"""Points at the newest copy."""
INTERVAL_MIN_S = 60.0
"""Least time between two copies that nobody asked for."""
INTERVAL_COPIES = 20
"""Least time between two copies that nobody asked for, in durations of the last one."""
KEPT = 2
"""Copies that are kept: readers of older ones keep the file that they have open."""
COPY_TIMEOUT_S = 600.0
"""Longest time of a copy."""
_PREFIX = "readmodel-"
_COPY = """
import os, shutil, sys
source, target = sys.argv[1:]
with open(source, "rb") as reader, open(target, "xb") as writer:
    shutil.copyfileobj(reader, writer, 1 << 20)
    writer.flush()
    os.fsync(writer.fileno())
"""


class SnapshotError(ReadModelError):
    """No copy could be made; the read model itself is as it was."""


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the read model."""

    path: Path
    position: str
    """Position of the log that it is of."""
    duration_s: float
    """How long it took."""


class Snapshots:
    """Publishes copies of a projector's read model. Copies may be asked for from any thread."""

    def __init__(self, projector: Projector, place: Place, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make copies in ``place.snapshots``."""
        self._projector = projector
        self._folder = place.snapshots
        self._monotonic = monotonic
        self._taking = threading.Lock()
        self._last: Snapshot | None = None
        self._commits = -1
        self._taken_at = monotonic()

    def take(self) -> Snapshot:
        """Make a copy of everything committed, and point ``latest.duckdb`` at it.

        Raises ``SnapshotError``, and as `Projector.quiet`.
        """
        with self._taking:
            return self._take()

    def take_if_new(self) -> Snapshot:
        """As ``take``, unless nothing was committed since the last copy that was made here."""
        with self._taking:
            last = self._last
            if last is not None and self._commits == self._projector.commit_count and last.path.exists():
                return last
            return self._take()

    def _take(self) -> Snapshot:
        started = self._taken_at = self._monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path) for path in self._copies()), default=0)
        path = self._folder / f"{_PREFIX}{number:06d}.duckdb"
        temporary = self._folder / f".{path.name}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        with self._projector.quiet() as source:
            position: Position = self._projector.position
            self._commits = self._projector.commit_count
            _copy(source, temporary)
        temporary.replace(path)
        self._point_at(path)
        self._forget_old()
        self._taken_at = self._monotonic()
        self._last = Snapshot(path, str(position), self._taken_at - started)
        return self._last

    def copy_to(self, target: Path) -> Position:
        """Make a copy of everything committed for whoever asks, and publish nothing; the position that it is of.

        Raises as `take`.
        """
        with self._taking, self._projector.quiet() as source:
            position = self._projector.position
            _copy(source, target)
        return position

    def take_if_due(self) -> Snapshot | None:
        """Make a copy if there is something new and the last one is long enough ago."""
        last_s = self._last.duration_s if self._last is not None else 0.0
        if self._monotonic() - self._taken_at < max(INTERVAL_MIN_S, INTERVAL_COPIES * last_s):
            return None
        if self._last is not None and self._last.position == str(self._projector.position):
            return None
        self._taken_at = self._monotonic()  # a copy that fails is tried again after the same pause
        return self.take()

    def _point_at(self, path: Path) -> None:
        """Swap the link: whoever opens ``latest.duckdb`` gets the old copy or the new one, whole."""
        link = self._folder / f".{LATEST}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(self._folder / LATEST)

    def _copies(self) -> list[Path]:
        return sorted(self._folder.glob(f"{_PREFIX}*.duckdb"))

    def _forget_old(self) -> None:
        for path in self._copies()[:-KEPT]:
            path.unlink(missing_ok=True)
        for path in self._folder.glob(f".{_PREFIX}*"):
            with contextlib.suppress(OSError):  # another process's copy, or gone
                if time.time() - path.stat().st_mtime > COPY_TIMEOUT_S:
                    path.unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy in a child process: in this one it would take DuckDB's lock away."""
    command = [sys.executable, "-I", "-S", "-c", _COPY, str(source), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COPY_TIMEOUT_S, check=False)
        problem = done.stderr.strip().splitlines()[-1] if done.returncode and done.stderr else None
        problem = problem or (f"the child ended with {done.returncode}" if done.returncode else None)
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem is not None:
        target.unlink(missing_ok=True)
        message = f"no copy of the read model could be made in {target.parent}: {problem}; look at free space"
        raise SnapshotError(message)


def _number(path: Path) -> int:
    text = path.stem.removeprefix(_PREFIX)
    return int(text) if text.isdigit() else 0
