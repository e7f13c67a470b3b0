"""A folder beside the read model in which another one is built, and copies of the living one are looked at.

Each has a lock that goes with its process: folders of killed ones are removed by the next that comes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crucible.errors import ReadModelError
from crucible.place import Place

FOLDER = "workbench"
_LOCK = "lock"


@contextlib.contextmanager
def open_workbench(place: Place) -> Iterator[Path]:
    """An empty folder of one's own on the file system of the read model; it goes with the block."""
    root = place.model_root / FOLDER
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        folder = Path(tempfile.mkdtemp(dir=root))
        descriptor = _locked(folder)
    except OSError as error:
        message = f"there is no room to work in {root}: {error.strerror}; free some space or set its rights"
        raise ReadModelError(message) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # another one is at work there
            root.rmdir()


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        try:
            descriptor = _locked(folder)
        except OSError:  # its process lives, or it has just been made
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
