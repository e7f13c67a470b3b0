"""Folders of files as lists of (path, size, sha256), and back: what checkpoints and artifacts are made of."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from crucible.blobs import BlobStore
from crucible.canonical import digest_of
from crucible.errors import UsageError
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

    Raises ``UsageError`` for a missing source, for anything that is neither file nor folder or can't be read, and for
    more files than a record can list.
    """
    is_folder = stat.S_ISDIR(_mode(source))
    found = _files_below(source) if is_folder else [(source.name, source)]
    for name, path in found:
        _require_kept(name, path)
    list_bytes = sum(len(path.encode()) + ENTRY_OVERHEAD_BYTES for path, _ in found)
    if list_bytes > LIST_BYTES_MAX:
        message = f"{source} holds {len(found)} files, too many for one record: pack them into an archive"
        raise UsageError(message)
    return found


def _files_below(source: Path) -> list[tuple[str, Path]]:
    def refuse(error: OSError) -> None:
        message = f"{error.filename} can't be read: {error.strerror}"
        raise UsageError(message) from error

    found: list[tuple[str, Path]] = []
    for folder, subfolders, names in os.walk(source, onerror=refuse):
        subfolders.sort()
        links = [name for name in subfolders if Path(folder, name).is_symlink()]
        found += [(_relative(Path(folder, name), source), Path(folder, name)) for name in [*names, *links]]
    return sorted(found)


def _require_kept(name: str, path: Path) -> None:
    """Refuse links to nothing or to folders, devices, pipes, and names that are no text."""
    if not stat.S_ISREG(_mode(path)):
        message = f"{path} is no regular file and can't be kept"
        raise UsageError(message)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        message = f"{path!r} can't be kept: its name is no UTF-8; rename it"
        raise UsageError(message) from error


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError as error:
        message = f"{path} does not exist: save the files there first"
        raise UsageError(message) from error
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} can't be kept: {error}"
        raise UsageError(message) from error


def store(
    source: Path,
    blobs: BlobStore,
    *,
    is_given_away: bool = False,
    before_each: Callable[[], None] | None = None,
) -> list[StoredFile]:
    """Keep every file of ``source`` as a blob; ``before_each`` is asked before each one.

    The sizes are those of the blobs: a file may grow while it is copied. ``is_given_away`` as `BlobStore.put_file`.
    """
    files: list[StoredFile] = []
    for name, path in collect(source):
        if before_each is not None:
            before_each()
        digest = blobs.put_file(path, is_given_away=is_given_away)
        files.append(StoredFile(path=name, size_bytes=blobs.size_bytes(digest), sha256=digest))
    return files


def materialise(files: Sequence[StoredFile], folder: Path, copy_to: Callable[[str, Path], None]) -> None:
    """Copy blobs to ``folder`` under their own paths, comparing each with its digest. Raises ``BlobError``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / checked_path(file["path"])
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_to(file["sha256"], target)


def checked_path(path: str) -> PurePosixPath:
    """A relative path that stays inside its folder. Raises ``UsageError`` for any other."""
    pure = PurePosixPath(path)
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        message = f"{path!r} is no path inside a folder"
        raise UsageError(message)
    return pure


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
