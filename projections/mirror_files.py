"""Files of mirrors: the same bytes for the same records, durable, in folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from crucible.blobs import BlobStore
from crucible.errors import StorageError

CHUNK_BYTES = 1024 * 1024
"""Text is written in pieces of about this size."""
SYNCED_FILES_MAX = 16
"""More new files than these are made durable by one sync of everything: an fsync each would take far longer."""
_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_page = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True).encode


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A file of a mirror, as its manifest names it."""

    path: str
    size_bytes: int
    sha256: str


def write_lines(folder: Path, name: str, lines: Iterable[Any]) -> Written | None:
    """Write JSON values, one a line; no file and None if there are none."""
    chunks = _chunks(lines)
    first = next(chunks, None)
    return None if first is None else write_chunks(folder, name, itertools.chain([first], chunks))


def write_page(folder: Path, name: str, value: Any) -> Written:
    """Write one JSON value for people: indented, keys sorted."""
    return write_chunks(folder, name, [f"{_page(value)}\n".encode()])


def replace_page(folder: Path, name: str, value: Any) -> Written:
    """As ``write_page``, in place of a file that someone may be reading."""
    temporary = f".{name}.new"
    written = write_page(folder, temporary, value)
    _sync(folder / temporary)
    (folder / temporary).replace(folder / name)
    _sync(folder)
    return Written(name, written.size_bytes, written.sha256)


def write_chunks(folder: Path, name: str, chunks: Iterable[bytes]) -> Written:
    """Write a file in a folder that is there."""
    digest, size = hashlib.sha256(), 0
    with (folder / name).open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Written(name, size, digest.hexdigest())


def make_durable(folders: Iterable[Path]) -> None:
    """Sync everything in new folders."""
    paths = [path for folder in folders for path in (*folder.rglob("*"), folder)]
    if len(paths) > SYNCED_FILES_MAX:
        os.sync()
        return
    for path in paths:
        _sync(path)


def publish(new: Path, folder: Path, last: str, ours: Sequence[str]) -> None:
    """Give a finished folder its name; the folder above is yet to be synced.

    If the name is taken (by an earlier writing, or by files of others), what is ``ours`` there is removed and
    everything is moved in, the file ``last`` at the end.
    """
    if not folder.exists():
        new.rename(folder)
        return
    (folder / last).unlink(missing_ok=True)
    for name in ours:
        if (folder / name).is_dir():
            empty_folder(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    for entry in sorted(new.iterdir(), key=lambda path: path.name == last):
        entry.replace(folder / entry.name)
    new.rmdir()
    _sync(folder)


def place_blobs(folder: Path, name: str, files: Iterable[dict[str, Any]], blobs: BlobStore) -> list[Written]:
    """Put files that are kept as blobs below ``folder/name``, as hard links where the file system allows that.

    A blob that is not here (it was purged) is left out.
    """
    placed = []
    for file in files:
        path = PurePosixPath(str(file["path"]))
        if path.is_absolute() or ".." in path.parts or not path.parts:
            message = f"{name}: a file of the record has the path {file['path']!r}, which leads out of its folder"
            raise StorageError(message)
        digest = str(file["sha256"])
        if not blobs.exists(digest):
            continue
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(blobs.get_path(digest), target)
        placed.append(Written(f"{name}/{path}", int(file["size_bytes"]), digest))
    return placed


def empty_folder(folder: Path) -> None:
    """Remove a folder of ours with everything in it."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def iso(moment: dt.datetime | None) -> str | None:
    """A UTC moment as text: always six digits of a second."""
    return None if moment is None else f"{moment.isoformat(timespec='microseconds')}Z"


def finite(value: float | None) -> float | None:
    """``value``, or None where JSON has no number for it."""
    return value if value is None or math.isfinite(value) else None


def nonfinite_name(value: float) -> str:
    """The name of a number that JSON lacks: nan, inf or -inf."""
    return repr(value)


def sync_names(folders: Iterable[Path]) -> None:
    """Make the names in folders durable."""
    for folder in sorted(set(folders)):
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _chunks(lines: Iterable[Any]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for value in lines:
        text = _line(value)
        waiting.append(text)
        size += len(text) + 1
        if size >= CHUNK_BYTES:
            yield ("\n".join(waiting) + "\n").encode()
            waiting, size = [], 0
    if waiting:
        yield ("\n".join(waiting) + "\n").encode()


def _link_or_copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, temporary)
    temporary.replace(target)
