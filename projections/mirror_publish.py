"""A folder that was made gets its name, in place of an older one: whoever looks sees one of them, whole.

What others have put into the old folder moves into the new one. A kill anywhere leaves the folder under its temporary
name; `recover` brings back from there what is not ours, and the rest is made anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from crucible.blobs.durable import sync_path
from crucible.faults import fault_point
from crucible.log.lock import FileLock
from crucible.place import Place
from crucible.projections.exchange import exchange
from crucible.projections.mirror_files import remove_folder

MANIFEST = "manifest.json"
CONTENT = ("telemetry.jsonl", "metrics.jsonl", "predictions.jsonl", "checkpoints.jsonl", "checkpoints", "datasets")
"""What stands beside the manifest, as far as there is any; other names in the folder are not ours."""
OURS = frozenset({MANIFEST, *CONTENT})
LOCK = "mirrors.lock"
"""Whoever gives folders their names holds this file's lock: the engine, or a rebuild beside it."""
_ASIDE = ".old"
_SAME_NAMES_MAX = 1000
"""Files of others under one name that are kept beside each other."""


@contextlib.contextmanager
def publishing(place: Place) -> Iterator[None]:
    """Be the only one that gives folders of this log their names."""
    place.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.root / LOCK)
    try:
        with lock:
            yield
    finally:
        lock.close()


def publish(new: Path, folder: Path) -> None:
    """Give a finished folder its name; the folder above is yet to be synced. Raises ``OSError``."""
    fault_point("mirror:before-name")
    if not folder.exists():
        new.rename(folder)
        fault_point("mirror:after-name")
        return
    if exchange(new, folder):
        fault_point("mirror:after-exchange")
        _keep_others(new, folder)
        remove_folder(new)
    else:
        aside = _aside(new)
        folder.rename(aside)
        fault_point("mirror:old-aside")
        new.rename(folder)
        fault_point("mirror:after-name")
        _keep_others(aside, folder)
        remove_folder(aside)
    fault_point("mirror:old-removed")
    sync_path(folder)


def recover(new: Path, folder: Path) -> None:
    """Repair what a killed writer left: files of others go back, an old folder without a successor gets its name."""
    aside = _aside(new)
    if aside.exists() and not folder.exists():
        aside.rename(folder)
    for left in (aside, new):
        if not left.exists():
            continue
        if any(entry.name not in OURS for entry in left.iterdir()):
            folder.mkdir(exist_ok=True)
            _keep_others(left, folder)
        remove_folder(left)
        fault_point("mirror:recovered")


def _aside(new: Path) -> Path:
    return new.with_name(f"{new.name}{_ASIDE}")


def _keep_others(old: Path, folder: Path) -> None:
    """Move what is not ours from an old folder into the new one; of two with one name both stay."""
    for entry in sorted(old.iterdir()):
        if entry.name not in OURS:
            entry.rename(_free_name(folder / entry.name))
            fault_point("mirror:other-moved")


def _free_name(path: Path) -> Path:
    names = (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, _SAME_NAMES_MAX)))
    return next(name for name in names if not name.exists() and not name.is_symlink())
