"""What is made once per log and kept by digest: a name that says how it is made, and the digest of what came out.

A name stands for a pure function of what it names, so that whoever makes it gets the same bytes. The lock therefore
only saves work: a maker that hangs is waited for a while, and then the work is done twice. The first result to be
named stays, so that all runs of a log use the same bytes even if two kinds of CPU round differently.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from crucible.adapters.protocol import Blobs
from crucible.errors import BlobError, StorageError

LOCK_WAIT_S: Final = 60.0
"""How long to wait for another maker before making it as well."""

LOCK_POLL_S: Final = 0.02

DIGEST = re.compile(r"[0-9a-f]{64}")


class Kept:
    """Results by name: ``<folder>/<name>`` holds the digest of a blob."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        """Use ``folder``, which is made if it is not there."""
        self._folder = folder
        self._blobs = blobs

    def get_or_make(
        self, name: str, make: Callable[[], bytes], *, lock_wait_s: float = LOCK_WAIT_S
    ) -> tuple[str, bytes]:
        """Return digest and content of what ``name`` stands for; make it if it is missing or damaged.

        ``name`` is a hexadecimal digest of everything that ``make`` depends on. Raises StorageError.
        """
        try:
            if (found := self._find(name)) is not None:
                return found
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / f"{name}.lock", lock_wait_s):
                return self._find(name) or self._make(name, make)
        except OSError as error:
            message = f"nothing can be kept in {self._folder}: {error.strerror}; free space or set the folder's rights"
            raise StorageError(message) from error

    def _make(self, name: str, make: Callable[[], bytes]) -> tuple[str, bytes]:
        content = make()
        digest = self._blobs.put_bytes(content)
        self._write(name, digest)
        return self._find(name) or (digest, content)

    def _find(self, name: str) -> tuple[str, bytes] | None:
        try:
            digest = (self._folder / name).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        if not DIGEST.fullmatch(digest):
            return None
        try:
            return digest, self._blobs.get_bytes(digest)
        except BlobError:
            return None  # a lost or damaged blob: it is made again, and named anew

    def _write(self, name: str, digest: str) -> None:
        """Name ``digest`` durably; a name whose blob can be read stays."""
        temporary = self._folder / f"{name}.{uuid.uuid4().hex}"
        with temporary.open("x", encoding="ascii") as file:
            file.write(digest + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self._find(name) is None:
            temporary.replace(self._folder / name)
        else:
            temporary.unlink()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of ``path``, or go on without it after ``wait_s``; a killed holder frees it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(handle) and time.monotonic() < deadline:
            time.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
