"""The folder of an export: made beside its target and renamed at the end, so that the target is whole or not there.

Who exports holds a lock on the folder while it is made. One that a killed process has left is taken over, and emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from crucible.blobs.durable import sync_path
from crucible.errors import StorageError, UsageError
from crucible.faults import fault_point


def target_problems(target: Path) -> list[str]:
    """Why nothing can be exported to ``target``."""
    problems = []
    if os.path.lexists(target):
        problems.append(f"{target} exists: name a folder that is not there yet")
    if not target.parent.is_dir():
        problems.append(f"{target.parent} is no folder; make it first")
    return problems


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write files to, which is ``target`` once all went well, and removed if not.

    Raises ``UsageError`` if the target is there or is being made, ``StorageError`` if the disk fails.
    """
    working = target.with_name(f".{target.name}.export")
    try:
        descriptor = _lock(working, target)
    except OSError as error:
        raise _refused(working, error) from error
    try:
        try:
            for left in working.iterdir():
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            yield working
            _publish(working, target)
        except OSError as error:
            raise _refused(target, error) from error
        finally:
            shutil.rmtree(working, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(working: Path, target: Path) -> int:
    working.mkdir(exist_ok=True)
    descriptor = os.open(working, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not _is_ours(working, descriptor):
        os.close(descriptor)
        message = f"another export to {target} is at work"
        raise UsageError(message)
    return descriptor


def _is_ours(working: Path, descriptor: int) -> bool:
    """Whether the lock could be had, of a folder that nobody has finished with meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(working.stat(), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        return False


def _publish(working: Path, target: Path) -> None:
    """Make every file durable, then the name."""
    for path in sorted(working.rglob("*"), reverse=True):
        sync_path(path)
    sync_path(working)
    fault_point("export:written")
    if os.path.lexists(target):
        message = f"{target} exists: name a folder that is not there yet"
        raise UsageError(message)
    working.rename(target)
    sync_path(target.parent)


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} can't be written: {error.strerror or error}; free space or choose another place")
