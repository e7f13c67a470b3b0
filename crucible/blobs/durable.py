"""Files that are whole and durable before they have their name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from crucible.blobs.protocol import CHUNK_BYTES


def copy_hashed(source: BinaryIO, target: Path, *, is_sealed: bool = False) -> str:
    """Write what ``source`` gives to a file, and perhaps seal it; the digest is that of what was written."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        if is_sealed:
            seal(file)
    return digest.hexdigest()


def link_if_absent(temporary: Path, target: Path, digest: str) -> None:
    """Name a finished file; one that is there already and whole stays, a truncated or changed one is replaced.

    The temporary name may stay: the caller removes it.
    """
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        if target.stat().st_size != temporary.stat().st_size or digest_of(target) != digest:
            temporary.replace(target)
            return
        try:
            os.utime(target)
        except PermissionError:  # another user's, in a folder that several write to
            temporary.replace(target)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        temporary.replace(target)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[BinaryIO]:
    """A file of this host, to be read and appended to by one process at a time: whoever comes second waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield file
                return
            # the one before has given the file another name, or removed it: look again


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(file: BinaryIO) -> None:
    """Make a file's content durable and not writable."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.utime(file.fileno())
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Make a file's content or a folder's names durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file that may be gone; a leftover is found later."""
    with contextlib.suppress(OSError):
        path.unlink()


def sorted_entries(folder: Path) -> list[Path]:
    """What is in a folder that may not be there."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
