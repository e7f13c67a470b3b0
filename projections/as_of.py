"""The read model as it was at a position: folded anew from the beginning of the log up to there, and kept for a while.

It is the same fold that the live model comes from, over a log that ends at the position; so it needs no lock, and
whatever it answers is what was answered then.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crucible.canonical import hash_parts
from crucible.errors import ReadModelError, UsageError
from crucible.journal import Journal
from crucible.log.prefix import PrefixLog
from crucible.place import Place
from crucible.position import Position
from crucible.projections.database import MEMORY_LIMIT, try_open
from crucible.projections.identity import check_identity
from crucible.projections.local_reader import LocalReader
from crucible.projections.queries import Session, Watchdog
from crucible.projections.readmodel import Projector
from crucible.projections.tables import MODEL_VERSION

KEPT = 4
"""Models that are kept; the one that was used longest ago goes first."""
ABANDONED_S = 3_600.0
"""A model that was begun this long ago and never finished was left by a process that died."""
MODEL = "readmodel.duckdb"
NAME_DIGITS = 32

Progress = Callable[[int, int], None]
"""Is told how many records were read, and how many there are."""


@contextlib.contextmanager
def open_as_of(
    journal: Journal,
    place: Place,
    position: Position,
    *,
    memory_limit: str = MEMORY_LIMIT,
    progress: Progress | None = None,
) -> Iterator[LocalReader]:
    """A reader of the state as of ``position``. ``progress`` is told records read and records in all.

    Raises ``UsageError`` for a position that the log does not have, ``ReadModelError`` if the disk fails.
    """
    past = Journal(PrefixLog(journal.log, position.offsets), clock=journal.clock, ids=journal.ids, actor=journal.actor)
    if not past.log.end("events", 0):
        message = "at this position the log has no event yet, not even its own identity"
        raise UsageError(message)
    folder = place.as_of / hash_parts(past.log_id, str(position), MODEL_VERSION).hex()[:NAME_DIGITS]
    with contextlib.ExitStack() as stack:
        connection = _opened(folder / MODEL, past, memory_limit)
        if connection is None and folder not in _opened_here:
            _make(folder, past, memory_limit, progress)
            connection = _opened(folder / MODEL, past, memory_limit)
        if connection is None:  # this process has it open already, which DuckDB allows once
            folder = folder.with_name(f".{folder.name}.{os.getpid()}.{next(_private)}")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            _make(folder, past, memory_limit, progress)
            connection = _opened(folder / MODEL, past, memory_limit)
        if connection is None:
            message = f"the read model as of {position} can't be kept at {folder}: make its place writable"
            raise ReadModelError(message)
        _opened_here.add(folder)
        stack.callback(_opened_here.discard, folder)
        stack.callback(connection.close)
        _forget_old(place.as_of, folder)
        watchdog = stack.enter_context(contextlib.closing(Watchdog()))
        session = stack.enter_context(contextlib.closing(Session(connection.cursor(), watchdog)))
        yield LocalReader(position, session)


_private = itertools.count(1)
_opened_here: set[Path] = set()


def _opened(path: Path, past: Journal, memory_limit: str) -> Any:
    """A connection to the model if it is there, and of this log and version; several processes may have one."""
    if not path.exists() or path.parent in _opened_here:
        return None
    return try_open(path, check_identity(past), memory_limit=memory_limit, is_read_only=True)[0]


def _make(folder: Path, past: Journal, memory_limit: str, progress: Progress | None) -> None:
    """Fold the log into a model beside its place, and give it its name once it is whole."""
    beside = folder.with_name(f".{folder.name.lstrip('.')}.{os.getpid()}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        projector = Projector(
            past,
            Place(beside),
            is_mirroring=False,
            is_publishing=False,
            is_copying_dead=False,
            memory_limit=memory_limit,
        )
        with contextlib.closing(projector):
            projector.catch_up(progress)
            with projector.quiet():
                pass
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except OSError as error:
        if not folder.exists():  # else another process was faster
            message = f"the read model as of a position can't be made in {folder.parent}: {error.strerror}"
            raise ReadModelError(message) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _forget_old(parent: Path, used: Path) -> None:
    """Keep the models that were used last; whoever has another one open keeps what is open."""
    with contextlib.suppress(OSError):
        os.utime(used)
    ages = sorted((_used_at(folder), folder) for folder in parent.iterdir())
    whole = [folder for _, folder in ages if not folder.name.startswith(".")]
    abandoned = [folder for at, folder in ages if folder.name.startswith(".") and time.time() - at > ABANDONED_S]
    for folder in (*whole[:-KEPT], *abandoned):
        if folder != used:
            shutil.rmtree(folder, ignore_errors=True)


def _used_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process has removed it
        return 0.0
