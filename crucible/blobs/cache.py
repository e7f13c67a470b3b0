"""Copies of remote blobs on this host, for whoever needs a file: bounded, shared by all processes of a place.

A copy is fetched by one process while the others wait for it. It grows under ``partial/`` and has its name once its
content is what the digest says; what a killed process has fetched by then is gone on with.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from crucible.blobs.durable import alone, digest_of, remove_file, sorted_entries
from crucible.blobs.protocol import DIGEST, BlobFacts
from crucible.errors import StorageError
from crucible.faults import fault_point

CACHE_BYTES_MAX: Final = 20 << 30
"""Above this the copies that were used longest ago go."""
CACHE_GRACE_S: Final = 600.0
"""A copy that was asked for less long ago than this stays: its reader may not have opened it yet."""
PARTIAL_AGE_S: Final = 7 * 24 * 3600.0
"""A part of a copy that nobody has gone on with for this long goes."""

ReadOn = Callable[[int], Iterator[bytes]]
"""The content from an offset on, in pieces."""


class Cache:
    """Copies in a folder. Safe to use from any number of threads and processes."""

    def __init__(self, folder: Path, *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        """Use ``folder``, which is made with the first copy."""
        self._folder = folder
        self._partial = folder / "partial"
        self._bytes_max = bytes_max

    def find(self, digest: str) -> Path | None:
        """The copy, if there is one; it counts as used now."""
        path = self._folder / digest
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        except PermissionError:  # another user's copy, which is as good
            return path
        return path

    def fetch(self, digest: str, read_on: ReadOn) -> Path | None:
        """The copy, fetched if need be; None if what came is not what the digest says. Raises ``StorageError``."""
        try:
            with alone(self._partial / digest) as file:
                found = self.find(digest)
                return found if found is not None else self._fetched(digest, file, read_on)
        except OSError as error:
            message = f"no copy of a blob can be kept in {self._folder}: {error.strerror}; free space or set its rights"
            raise StorageError(message) from error

    def drop(self, digest: str) -> None:
        """Forget a copy."""
        remove_file(self._folder / digest)
        remove_file(self._partial / digest)

    def upload(self, digest: str) -> Path:
        """Where an upload of this host keeps its id."""
        return self._folder / "uploads" / digest

    def files(self) -> list[tuple[Path, BlobFacts]]:
        """Every copy with the time of its last use, what was fetched of others, and ids of uploads."""
        return [*_files(self._folder), *_files(self._partial), *_files(self._folder / "uploads")]

    def _fetched(self, digest: str, file: BinaryIO, read_on: ReadOn) -> Path | None:
        partial, path = self._partial / digest, self._folder / digest
        for piece in read_on(file.seek(0, os.SEEK_END)):
            file.write(piece)
            file.flush()
            fault_point("download:piece-written")
        if digest_of(partial) != digest:
            partial.unlink()
            return None
        os.fchmod(file.fileno(), 0o444)
        partial.replace(path)
        self._make_room(digest)
        return path

    def _make_room(self, digest: str) -> None:
        """Remove what was used longest ago, until the rest fits, and what nobody goes on with."""
        now = time.time()
        for path, partial in _files(self._partial):
            if now - partial.written_at >= PARTIAL_AGE_S:
                remove_file(path)
        copies = sorted(_files(self._folder), key=lambda copy: copy[1].written_at)
        total = sum(copy.size_bytes for _, copy in copies)
        for path, copy in copies:
            if total <= self._bytes_max or now - copy.written_at < CACHE_GRACE_S:
                return
            if copy.digest != digest:
                remove_file(path)
                total -= copy.size_bytes


def _files(folder: Path) -> list[tuple[Path, BlobFacts]]:
    found = []
    for path in sorted_entries(folder):
        with contextlib.suppress(FileNotFoundError):
            facts = path.stat()
            if DIGEST.fullmatch(path.name):
                found.append((path, BlobFacts(path.name, facts.st_size, facts.st_mtime)))
    return found
