"""Files of mirrors: the same bytes for the same records, written into a new folder or only reckoned with."""

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
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import orjson

from crucible.blobs import BlobStore
from crucible.blobs.durable import sync_path
from crucible.errors import StorageError
from crucible.faults import fault_point

CHUNK_BYTES = 1024 * 1024
"""Text is written in pieces of about this size."""
SYNCED_FILES_MAX = 16
"""More new files than these are made durable by one sync of everything: an fsync each would take far longer."""
json_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""A value as JSON in one line."""
_PAGE = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A file of a mirror, as its manifest names it."""

    path: str
    size_bytes: int
    sha256: str


class Outline:
    """What a folder holds when it is as it should be: each file's size and digest. Nothing is written."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.files: list[Written] = []

    def lines(self, name: str, lines: Iterable[Any]) -> None:
        """A file of JSON values, one a line, those that are texts as they are; no file if there are none."""
        chunks = _chunks(lines)
        first = next(chunks, None)
        if first is not None:
            self._put(name, itertools.chain([first], chunks))

    def page(self, name: str, value: Any) -> Written:
        """A file of one JSON value for people: indented, keys sorted."""
        return self._put(name, [page_bytes(value)])

    def blob(self, name: str, file: dict[str, Any]) -> None:
        """A file below the folder ``name`` whose content is a blob; the record says path, size and digest."""
        path = PurePosixPath(str(file["path"]))
        if path.is_absolute() or ".." in path.parts or not path.parts:
            message = f"{name}: a file of the record has the path {file['path']!r}, which leads out of its folder"
            raise StorageError(message)
        written = Written(f"{name}/{path}", int(file["size_bytes"]), str(file["sha256"]))
        self._place(written)
        self.files.append(written)

    def _put(self, name: str, chunks: Iterable[bytes]) -> Written:
        digest, size = hashlib.sha256(), 0
        with self._opened(name) as file:
            for chunk in chunks:
                if file is not None:
                    file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        written = Written(name, size, digest.hexdigest())
        self.files.append(written)
        return written

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        _ = name
        yield None

    def _place(self, file: Written) -> None:
        """Nothing to do."""


class NewFolder(Outline):
    """A folder that is being made under a temporary name."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        """Make it; whatever had the name is removed."""
        super().__init__()
        self.folder = folder
        self._blobs = blobs
        remove_folder(folder)
        folder.mkdir(parents=True)
        fault_point("mirror:folder-begun")

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            fault_point("mirror:file-begun")
            yield file
        fault_point("mirror:file-written")

    def _place(self, file: Written) -> None:
        """A hard link to the blob, or a copy where the file system has none. A blob that is missing leaves a gap."""
        if not self._blobs.exists(file.sha256):
            return
        target = self.folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        self._blobs.copy_to(file.sha256, target, may_link=True)
        fault_point("mirror:blob-placed")


def page_bytes(value: Any) -> bytes:
    """One JSON value for people: indented, keys sorted. Raises ``ValueError`` for NaN and infinity."""
    line = json_line(value)  # it refuses what orjson would write as null
    try:
        return orjson.dumps(value, option=_PAGE)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, keys that are no text
        return f"{json.dumps(json.loads(line), ensure_ascii=False, indent=2, sort_keys=True)}\n".encode()


def replace_page(folder: Path, name: str, data: bytes) -> None:
    """Put a page in place of one that someone may be reading: the old one or the new one is there, whole."""
    temporary = folder / f".{name}.{os.getpid()}.new"
    with temporary.open("wb") as file:
        file.write(data)
        fault_point("mirror:page-begun")
        file.flush()
        os.fsync(file.fileno())
    fault_point("mirror:page-written")
    temporary.replace(folder / name)
    fault_point("mirror:page-named")
    sync_path(folder)
    for leftover in folder.glob(f".{name}.*.new"):  # of a writer that was killed
        leftover.unlink(missing_ok=True)


def make_durable(folders: Iterable[Path]) -> None:
    """Sync everything in new folders."""
    paths = [path for folder in folders for path in (*sorted(folder.rglob("*")), folder)]
    fault_point("mirror:before-sync")
    if len(paths) > SYNCED_FILES_MAX:
        os.sync()
    else:
        for path in paths:
            sync_path(path)
    fault_point("mirror:after-sync")


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours with everything in it."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def iso(moment: dt.datetime | None) -> str | None:
    """A UTC moment as text: always six digits of a second."""
    return None if moment is None else f"{moment.isoformat(timespec='microseconds')}Z"


def finite(value: float | None) -> float | None:
    """``value``, or None where JSON has no number for it."""
    return value if value is None or math.isfinite(value) else None


def sync_names(folders: Iterable[Path]) -> None:
    """Make the names in folders durable."""
    for folder in sorted(set(folders)):
        sync_path(folder)
        fault_point("mirror:names-synced")


def _chunks(lines: Iterable[Any]) -> Iterator[bytes]:
    waiting: list[str] = []
    size = 0
    for value in lines:
        text = value if isinstance(value, str) else json_line(value)
        waiting.append(text)
        size += len(text) + 1
        if size >= CHUNK_BYTES:
            yield ("\n".join(waiting) + "\n").encode()
            waiting, size = [], 0
    if waiting:
        yield ("\n".join(waiting) + "\n").encode()
