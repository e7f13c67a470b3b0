"""Content by digest: what records name but do not hold (checkpoints, artifacts, texts, log lines, code).

A blob is the file ``sha256/ab/<digest>`` below the root. It appears there complete and durable or not at all: it is
written under a temporary name, synced, linked if absent, and then its folder is synced. Writers of the same blob do
not harm each other, and a worker whose claim has ended can only leave a blob that no record names.

Such blobs are found and removed by whoever `sweeping` lets in: alone, while nobody gives a blob its name and nobody is
`keeping` one that a record is about to name. The time of a blob is that of its newest writer, even if it was there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from crucible.errors import BlobError, StorageError, UsageError

CHUNK_BYTES = 1024 * 1024
"""How much of a file is read at once."""
LEFTOVER_AGE_S = 24 * 3600
"""A temporary file older than this belongs to a writer that was killed."""
LINKS_OF_A_GIFT = 2
"""A file that is given away has its own name and ours; one with more may be written to under another name."""
SWEEP_WAIT_S = 10.0
"""How long to wait until nobody is writing a blob."""
SWEEP_POLL_S = 0.01
DIGEST = re.compile(r"[0-9a-f]{64}")
"""What a digest looks like."""


class BlobStore:
    """The blobs below one folder. Safe to use from any number of threads and processes."""

    def __init__(self, root: Path) -> None:
        """Use ``root``; nothing is made before the first blob."""
        self.root = root
        self._folder = root / "sha256"
        self._temporary = root / "temporary"

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` and return its digest, once it is durable. Raises ``StorageError``."""
        return self.put_many([data])[0]

    def put_file(self, path: Path, *, is_given_away: bool = False) -> str:
        """Keep the content of a file and return its digest, once it is durable.

        The file is copied. With ``is_given_away`` the caller will never write to it again, and it becomes the blob by
        a hard link where the file system allows that. Raises ``UsageError`` if there is no such file, ``StorageError``.
        """
        if not is_given_away:
            return self.put_many([path])[0]
        with self._said(path):
            digest, temporary = self._linked(path)
            try:
                self._publish([(digest, temporary)])
            finally:
                _remove(temporary)
        return digest

    def put_many(self, contents: Iterable[bytes | Path]) -> list[str]:
        """Keep several contents; each folder is synced once. Returns the digests in order, once all are durable."""
        written: list[tuple[str, Path]] = []
        try:
            for content in contents:
                with self._said(content if isinstance(content, Path) else None):
                    written.append(self._copied(content) if isinstance(content, Path) else self._written(content))
            with self._said(None):
                self._publish(written)
        finally:
            for _, temporary in written:
                _remove(temporary)
        return [digest for digest, _ in written]

    def get_path(self, digest: str, *, is_verified: bool = False) -> Path:
        """Where the blob lies; with ``is_verified`` its content is compared first. Raises ``BlobError``."""
        path = self._path(digest)
        if is_verified:
            self.verify(digest)
        elif not path.is_file():
            raise BlobError(self._missing(digest))
        return path

    def open(self, digest: str) -> io.BufferedReader:
        """The blob as an open file. Raises ``BlobError`` if it is missing."""
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError:
            raise BlobError(self._missing(digest)) from None

    def get_bytes(self, digest: str) -> bytes:
        """The content, compared with its digest. Raises ``BlobError``."""
        with self.open(digest) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobError(self._damaged(digest))
        return data

    def exists(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self._path(digest).is_file()

    def size_bytes(self, digest: str) -> int:
        """Its size. Raises ``BlobError`` if it is missing."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise BlobError(self._missing(digest)) from None

    def verify(self, digest: str) -> None:
        """Compare the content with the digest. Raises ``BlobError`` when it is missing or does not match."""
        with self.open(digest) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise BlobError(self._damaged(digest))

    def remove(self, digest: str) -> bool:
        """Forget the blob for good; False if it was not here. Raises ``StorageError``."""
        with self._said(None):
            try:
                self._path(digest).unlink()
            except FileNotFoundError:
                return False
            _sync_folder(self._path(digest).parent)
        return True

    def written_at(self, digest: str) -> float:
        """When the newest writer of the blob wrote it, seconds since the epoch. Raises ``BlobError``."""
        try:
            return self._path(digest).stat().st_mtime
        except FileNotFoundError:
            raise BlobError(self._missing(digest)) from None

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Let nobody sweep while the block runs: what it writes is named by a record at its end."""
        with self._said(None):
            lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def sweeping(self, wait_s: float = SWEEP_WAIT_S) -> Iterator[None]:
        """Be alone with the blobs, to remove some; keep it short. Raises ``StorageError`` after ``wait_s``."""
        with self._said(None):
            lock = self._open_lock()
        try:
            deadline = time.monotonic() + wait_s
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"blobs are being written to {self.root} all the time; try again later"
                        raise StorageError(message) from None
                    time.sleep(SWEEP_POLL_S)
            yield
        finally:
            os.close(lock)

    def __iter__(self) -> Iterator[str]:
        """Every digest, sorted."""
        for folder in _sorted_entries(self._folder):
            yield from (path.name for path in _sorted_entries(folder) if DIGEST.fullmatch(path.name))

    def total_bytes(self) -> int:
        """The size of all blobs together."""
        return sum(self._path(digest).stat().st_size for digest in self)

    def leftovers(self, before: float | None = None) -> list[Path]:
        """Temporary files of writers that were killed: older than a day, or than ``before``."""
        oldest = time.time() - LEFTOVER_AGE_S if before is None else before
        found = []
        for path in _sorted_entries(self._temporary):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    found.append(path)
        return found

    def remove_leftovers(self) -> int:
        """Remove temporary files of writers that were killed; returns how many."""
        leftovers = self.leftovers()
        for path in leftovers:
            _remove(path)
        return len(leftovers)

    def _open_lock(self) -> int:
        self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _path(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            message = f"{digest!r} is no digest; expected 64 hexadecimal digits"
            raise BlobError(message)
        return self._folder / digest[:2] / digest

    def _missing(self, digest: str) -> str:
        return f"blob {digest} is not in {self.root}; it was removed or never copied here: run its stage again"

    def _damaged(self, digest: str) -> str:
        return f"blob {digest} in {self.root} does not match its digest: it was changed; remove it, run its stage again"

    def _temporary_path(self) -> Path:
        self._temporary.mkdir(parents=True, exist_ok=True)
        return self._temporary / f"{os.getpid()}-{os.urandom(8).hex()}"

    def _written(self, data: bytes) -> tuple[str, Path]:
        """Write bytes under a temporary name, synced."""
        path = self._temporary_path()
        try:
            with path.open("xb") as target:
                target.write(data)
                _seal(target)
        except BaseException:
            _remove(path)
            raise
        return hashlib.sha256(data).hexdigest(), path

    def _copied(self, source: Path) -> tuple[str, Path]:
        """Copy a file to a temporary name, synced; the digest is that of the copy."""
        path = self._temporary_path()
        digest = hashlib.sha256()
        try:
            with source.open("rb") as origin, path.open("xb") as target:
                while chunk := origin.read(CHUNK_BYTES):
                    digest.update(chunk)
                    target.write(chunk)
                _seal(target)
        except BaseException:
            _remove(path)
            raise
        return digest.hexdigest(), path

    def _linked(self, source: Path) -> tuple[str, Path]:
        """Link a file to a temporary name, synced; a copy where links are not possible, or would be to a link."""
        if source.is_symlink():
            return self._copied(source)
        path = self._temporary_path()
        try:
            path.hardlink_to(source)
        except OSError as error:
            if error.errno in {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
                return self._copied(source)
            raise
        try:
            os.utime(path)
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_nlink > LINKS_OF_A_GIFT:
                    _remove(path)
                    return self._copied(source)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                _seal(file)
        except BaseException:
            _remove(path)
            raise
        return digest, path

    def _publish(self, written: list[tuple[str, Path]]) -> None:
        """Give synced files their names, and sync the folders."""
        folders: set[Path] = set()
        with self.keeping():
            for digest, temporary in written:
                target = self._path(digest)
                if not target.parent.is_dir():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    folders |= {self._folder, self.root}
                _link_if_absent(temporary, target, digest)
                folders.add(target.parent)
        for folder in sorted(folders, reverse=True):
            _sync_folder(folder)

    @contextlib.contextmanager
    def _said(self, source: Path | None) -> Iterator[None]:
        """Turn errors of the system into ours."""
        try:
            yield
        except OSError as error:
            if (
                source is not None
                and error.filename == str(source)
                and error.errno in {errno.ENOENT, errno.EISDIR, errno.EACCES}
            ):
                message = f"{source} can't be kept: {error.strerror}"
                raise UsageError(message) from error
            message = (
                f"no blob can be kept in {self.root}: {error.strerror}; free space or set the folder's rights "
                "(nothing half-written was left)"
            )
            raise StorageError(message) from error


def _link_if_absent(temporary: Path, target: Path, digest: str) -> None:
    """Name a finished file; one that is there already and whole stays, a truncated or changed one is replaced.

    The temporary name may stay: the caller removes it.
    """
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        if target.stat().st_size != temporary.stat().st_size or _digest_of(target) != digest:
            temporary.replace(target)
        else:
            os.utime(target)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        temporary.replace(target)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(file: BinaryIO) -> None:
    """Make a file's content durable and not writable."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.utime(file.fileno())
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sorted_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
