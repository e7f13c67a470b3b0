"""Folders of files as lists of (path, size, sha256), and back: what checkpoints and artifacts are made of."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from crucible.canonical import digest_of
from crucible.errors import BlobError, UsageError
from crucible.records.record import StoredFile

LIST_BYTES_MAX = 700_000
"""Most bytes of one checkpoint's or artifact's file list in a record; an append takes 900,000 in all."""
ENTRY_OVERHEAD_BYTES = 80
"""What a file adds to a record beside its path: a digest and three lengths."""
CHUNK_BYTES = 1024 * 1024


def files_digest(files: Sequence[StoredFile]) -> str:
    """SHA-256 of the canonical list of (path, size, sha256), sorted by path."""
    rows = [[file["path"], file["size_bytes"], file["sha256"]] for file in files]
    return digest_of(sorted(rows))


def collect(source: Path) -> list[tuple[str, Path]]:
    """Every file of a folder as (relative path, file), sorted; a single file stands under its own name.

    Raises ``UsageError`` for a missing source, for anything that is neither file nor folder, and for more files than
    a record can list.
    """
    if source.is_file():
        return [(source.name, source)]
    if not source.is_dir():
        message = f"{source} does not exist: save the files there first"
        raise UsageError(message)
    found: list[tuple[str, Path]] = []
    for folder, subfolders, names in os.walk(source):
        subfolders.sort()
        found += [(_relative(Path(folder, name), source), Path(folder, name)) for name in names]
    found.sort()
    for _, path in found:
        if not stat.S_ISREG(path.stat().st_mode):
            message = f"{path} is no regular file and can't be kept"
            raise UsageError(message)
    list_bytes = sum(len(path.encode()) + ENTRY_OVERHEAD_BYTES for path, _ in found)
    if list_bytes > LIST_BYTES_MAX:
        message = f"{source} holds {len(found)} files, too many for one record: pack them into an archive"
        raise UsageError(message)
    return found


def store(
    source: Path, put_file: Callable[[Path], str], *, before_each: Callable[[], None] | None = None
) -> list[StoredFile]:
    """Keep every file of ``source`` with ``put_file``; ``before_each`` is asked before each one."""
    files: list[StoredFile] = []
    for name, path in collect(source):
        if before_each is not None:
            before_each()
        size_bytes = path.stat().st_size
        files.append(StoredFile(path=name, size_bytes=size_bytes, sha256=put_file(path)))
    return files


def materialise(files: Sequence[StoredFile], folder: Path, get_path: Callable[[str], Path]) -> None:
    """Copy blobs to ``folder`` under their own paths, comparing each with its digest. Raises ``BlobError``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / checked_path(file["path"])
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(get_path(file["sha256"]), target, file["sha256"])


def checked_path(path: str) -> PurePosixPath:
    """A relative path that stays inside its folder. Raises ``UsageError`` for any other."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        message = f"{path!r} is no path inside a folder"
        raise UsageError(message)
    return pure


def _copy(source: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    if digest.hexdigest() != sha256:
        message = f"blob {sha256} has been changed: its content has the digest {digest.hexdigest()}"
        raise BlobError(message)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
