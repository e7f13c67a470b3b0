"""Files of mirrors: whole or not at all, the same bytes for the same records, durable before they are named."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from crucible.blobs import BlobStore
from crucible.errors import StorageError

CHUNK_BYTES = 1024 * 1024
"""Text is written in pieces of about this size."""
_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_page = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True).encode


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A file of a mirror, as its manifest names it."""

    path: str
    size_bytes: int
    sha256: str


def write_lines(folder: Path, name: str, lines: Iterable[Any]) -> Written:
    """Write JSON values, one a line."""
    return write_chunks(folder, name, _chunks(lines))


def write_page(folder: Path, name: str, value: Any) -> Written:
    """Write one JSON value for people: indented, keys sorted."""
    return write_chunks(folder, name, [f"{_page(value)}\n".encode()])


def write_chunks(folder: Path, name: str, chunks: Iterable[bytes]) -> Written:
    """Write a file under another name, sync it, and give it its name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    digest, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            if size:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Written(name, size, digest.hexdigest())


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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def iso(moment: dt.datetime | None) -> str | None:
    """A UTC moment as text: always six digits of a second."""
    return None if moment is None else f"{moment.isoformat(timespec='microseconds')}Z"


def finite(value: float | None) -> float | None:
    """``value``, or None where JSON has no number for it."""
    return value if value is None or math.isfinite(value) else None


def nonfinite_name(value: float) -> str:
    """The name of a number that JSON lacks: nan, inf or -inf."""
    return repr(value)


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
