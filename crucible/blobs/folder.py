"""A blob store in a folder: beside the log, or one that several hosts share.

A blob is written under a temporary name, synced, linked if absent, and then its folder is synced. The time of a blob is
that of its newest writer, even if it was there: garbage is told by age, and removed by whoever `sweeping` lets in,
alone, while nobody gives a blob its name and nobody is `keeping` one that a record is about to name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shlex
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from crucible.blobs.durable import copy_hashed, link_if_absent, remove_file, seal, sorted_entries, sync_path
from crucible.blobs.protocol import (
    DIGEST,
    LEFTOVER_AGE_S,
    NOTE,
    SWEEP_WAIT_S,
    BlobFacts,
    BlobStore,
    Leftover,
    NoteKind,
    checked_digest,
    checked_note,
    damaged_error,
    missing_error,
)
from crucible.errors import BlobError, StorageError, UsageError

LINKS_OF_A_GIFT: Final = 2
"""A file that is given away has its own name and ours; one with more may be written to under another name."""
SWEEP_POLL_S: Final = 0.01
NO_LOCK: Final = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP})
"""A network file system that locks no folders."""


class FolderBlobs(BlobStore):
    """The blobs below one folder."""

    def __init__(self, root: Path, *, is_shared: bool = False) -> None:
        """Use ``root``, which is made with the first blob and never again. ``is_shared``: others may write there."""
        self.root = root
        self._is_shared = is_shared
        self._folder = root / "sha256"
        self._temporary = root / "temporary"
        self._was_here = root.is_dir()

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def is_shared(self) -> bool:
        """Whether others may write here."""
        return self._is_shared

    @property
    def grain_s(self) -> float:
        """Nothing is cut off."""
        return 0.0

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
                remove_file(temporary)
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
                remove_file(temporary)
        return [digest for digest, _ in written]

    def get_path(self, digest: str, *, is_verified: bool = False) -> Path:
        """Where the blob lies; with ``is_verified`` its content is compared first. Raises ``BlobError``."""
        path = self._path(digest)
        if is_verified:
            self.verify(digest)
        elif not path.is_file():
            raise missing_error(digest, self.location)
        return path

    def get_bytes(self, digest: str) -> bytes:
        """The content, compared with its digest. Raises ``BlobError``."""
        with self._opened(digest) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged_error(digest, self.location)
        return data

    def copy_to(self, digest: str, target: Path, *, may_link: bool = False) -> None:
        """Write the content to a new file, compared with its digest; a link is not compared. Raises ``BlobError``."""
        if may_link:
            with contextlib.suppress(OSError):  # another file system, one without links, or too many of them
                target.hardlink_to(self.get_path(digest))
                return
        with self._opened(digest) as source:
            found = copy_hashed(source, target)
        if found != digest:
            raise damaged_error(digest, self.location)

    def is_same_file(self, digest: str, path: Path) -> bool:
        """Whether a file is a hard link to the blob."""
        try:
            return path.samefile(self._path(digest))
        except (BlobError, OSError):
            return False

    def exists(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self._path(digest).is_file()

    def missing(self, digests: Collection[str]) -> list[str]:
        """Those that are not here or that this user can't read, sorted."""
        return [
            digest
            for digest in sorted(digests)
            if not (DIGEST.fullmatch(digest) and os.access(self._path(digest), os.R_OK))
        ]

    def size_bytes(self, digest: str) -> int:
        """Its size. Raises ``BlobError`` if it is missing."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise missing_error(digest, self.location) from None

    def verify(self, digest: str) -> None:
        """Compare the content with the digest. Raises ``BlobError`` when it is missing or does not match."""
        with self._opened(digest) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise damaged_error(digest, self.location)

    def remove(self, digest: str) -> bool:
        """Forget the blob for good; False if it was not here. Raises ``StorageError``."""
        with self._said(None):
            try:
                self._path(digest).unlink()
            except FileNotFoundError:
                return False
            sync_path(self._path(digest).parent)
        return True

    def written_at(self, digest: str) -> float:
        """When the newest writer of the blob wrote it, seconds since the epoch. Raises ``BlobError``."""
        try:
            return self._path(digest).stat().st_mtime
        except FileNotFoundError:
            raise missing_error(digest, self.location) from None

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Let nobody sweep while the block runs: what it writes is named by a record at its end."""
        with self._said(None):
            lock = self._open_lock()
        try:
            with self._locking():
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
            with self._locking():
                self._lock_alone(lock, time.monotonic() + wait_s)
            yield
        finally:
            os.close(lock)

    def entries(self) -> Iterator[BlobFacts]:
        """Every blob, sorted by digest."""
        for folder in sorted_entries(self._folder):
            for path in sorted_entries(folder):
                if DIGEST.fullmatch(path.name):
                    with contextlib.suppress(FileNotFoundError):
                        found = path.stat()
                        yield BlobFacts(path.name, found.st_size, found.st_mtime)

    def leftovers(self, before: float | None = None) -> list[Leftover]:
        """Temporary files of writers that were killed: older than a day, or than ``before``."""
        oldest = time.time() - LEFTOVER_AGE_S if before is None else before
        found = []
        for path in sorted_entries(self._temporary):
            with contextlib.suppress(FileNotFoundError):
                facts = path.lstat()
                if facts.st_mtime < oldest:
                    found.append(Leftover(str(path), facts.st_size))
        return found

    def remove_leftover(self, name: str) -> bool:
        """Remove a temporary file; False if it was gone."""
        path = self._temporary / Path(name).name
        with self._said(None):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def where(self, digest: str) -> str:
        """The path of a blob."""
        return str(self._path(digest))

    def removal(self, digest: str) -> str:
        """``rm`` and the path."""
        return f"rm {shlex.quote(self.where(digest))}"

    def probe(self) -> None:
        """Write a temporary file, read it, remove it."""
        data = os.urandom(64)
        was_there = self._temporary.is_dir()
        with self._said(None):
            _, path = self._written(data)
            try:
                found = path.read_bytes()
            finally:
                path.unlink()
                if not was_there:
                    with contextlib.suppress(OSError):  # another writer has begun
                        self._temporary.rmdir()
        if found != data:
            message = f"{self.root} gives back other bytes than were written: its disk or file system is broken"
            raise StorageError(message)

    def note(self, kind: NoteKind, name: str) -> None:
        """Leave an empty file, durably."""
        path = self.root / kind / checked_note(name)
        with self._said(None):
            self._make_folder(path.parent)
            path.touch(0o444)
            for folder in (path.parent, self.root):
                sync_path(folder)

    def notes(self, kind: NoteKind) -> list[str]:
        """The notes of a kind, sorted."""
        return [path.name for path in sorted_entries(self.root / kind) if NOTE.fullmatch(path.name)]

    def _lock_alone(self, lock: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"blobs are being written to {self.root} all the time; try again later"
                    raise StorageError(message) from None
                time.sleep(SWEEP_POLL_S)
            else:
                return

    @contextlib.contextmanager
    def _locking(self) -> Iterator[None]:
        """A shared folder whose file system has no such lock is kept by the age of its garbage alone."""
        try:
            yield
        except OSError as error:
            if not (self._is_shared and error.errno in NO_LOCK):
                raise

    def _open_lock(self) -> int:
        self._make_root()
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _make_root(self) -> None:
        """Make the root once: a blob that came after the root was removed would be one that no record explains."""
        if self._was_here and not self.root.is_dir():
            message = f"{self.root} was removed while it was in use"
            raise StorageError(message)
        self.root.mkdir(parents=True, exist_ok=True)
        self._was_here = True

    def _make_folder(self, folder: Path) -> None:
        self._make_root()
        folder.mkdir(exist_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / checked_digest(digest)[:2] / digest

    def _opened(self, digest: str) -> io.BufferedReader:
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError:
            raise missing_error(digest, self.location) from None

    def _temporary_path(self) -> Path:
        self._make_folder(self._temporary)
        return self._temporary / f"{os.getpid()}-{os.urandom(8).hex()}"

    def _written(self, data: bytes) -> tuple[str, Path]:
        """Write bytes under a temporary name, synced."""
        path = self._temporary_path()
        try:
            with path.open("xb") as target:
                target.write(data)
                seal(target)
        except BaseException:
            remove_file(path)
            raise
        return hashlib.sha256(data).hexdigest(), path

    def _copied(self, source: Path) -> tuple[str, Path]:
        """Copy a file to a temporary name, synced; the digest is that of the copy."""
        path = self._temporary_path()
        try:
            with source.open("rb") as origin:
                digest = copy_hashed(origin, path, is_sealed=True)
        except BaseException:
            remove_file(path)
            raise
        return digest, path

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
                    remove_file(path)
                    return self._copied(source)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                seal(file)
        except BaseException:
            remove_file(path)
            raise
        return digest, path

    def _publish(self, written: list[tuple[str, Path]]) -> None:
        """Give synced files their names, and sync the folders."""
        folders: set[Path] = set()
        with self.keeping():
            for digest, temporary in written:
                target = self._path(digest)
                if not target.parent.is_dir():
                    self._make_folder(self._folder)
                    target.parent.mkdir(exist_ok=True)
                    folders |= {self._folder, self.root}
                link_if_absent(temporary, target, digest)
                folders.add(target.parent)
        for folder in sorted(folders, reverse=True):
            sync_path(folder)

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
