"""A copy of what a log's engine has made, whether one lives or not: for commands that look at it beside the engine."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.cli.compose import ENGINE_WAIT_S, RETRY_S
from crucible.cli.engine import EngineLock
from crucible.errors import ReadModelError, UsageError
from crucible.place import Place
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.projections.verification.verification import Copied

WAL = ".wal"


def require_log(settings: Settings) -> None:
    """Raise ``UsageError`` if there is no log."""
    if settings.log_address is None and not settings.place.log.exists():
        message = f"there is no log at {settings.log}; crucible run makes one"
        raise UsageError(message)


def copy_living(place: Place, bench: Path) -> Copied:
    """Copies of the read model and of its newest snapshot in ``bench``.

    A living engine makes the copy of its model; otherwise it is made under the engine lock.
    """
    from crucible.projections.verification.verification import Copied

    snapshot = _copied_snapshot(place, bench / "snapshot.duckdb")
    lock = EngineLock(place)
    deadline = time.monotonic() + ENGINE_WAIT_S
    problem = "the engine holds its lock but does not answer"
    while time.monotonic() < deadline:
        if lock.try_take():
            try:
                return Copied(_copied_model(place, bench / "model.duckdb"), snapshot)
            finally:
                lock.release()
        try:
            model = _asked_model(place, bench / "model.duckdb")
        except (ReadModelError, OSError) as error:
            problem = str(error)
        else:
            if model is not None:
                return Copied(model, snapshot, is_living=True)
        time.sleep(RETRY_S)
    return Copied(None, snapshot, problem, is_living=True)


def _asked_model(place: Place, target: Path) -> Path | None:
    from crucible.query import connect

    client = connect(place)
    if client is None:
        return None
    with contextlib.closing(client):
        client.copy_model(target)
    return target


def _copied_model(place: Place, target: Path) -> Path | None:
    """Copy the model and its write-ahead log; nobody has it open while the lock is held."""
    if not place.read_model.exists():
        return None
    shutil.copyfile(place.read_model, target)
    wal = Path(f"{place.read_model}{WAL}")
    if wal.exists():
        shutil.copyfile(wal, f"{target}{WAL}")
    return target


def _copied_snapshot(place: Place, target: Path) -> Path | None:
    latest = place.snapshots / "latest.duckdb"
    if not latest.is_symlink() and not latest.exists():
        return None
    try:
        shutil.copyfile(latest.resolve(strict=True), target)
    except OSError:  # it points at nothing: whoever opens the copy is told so
        return target
    return target
