"""A blob store in a bucket of S3.

An object appears whole or not at all, so nothing needs a temporary name. What a server can't give is a lock that
reaches every writer: garbage is told by its age alone there, and by a far greater one than in a folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import shlex
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

from crucible.blobs.bucket import Bucket, ObjectFacts
from crucible.blobs.bucket_errors import NotThereError
from crucible.blobs.cache import Cache
from crucible.blobs.durable import alone, copy_hashed
from crucible.blobs.protocol import (
    DIGEST,
    LEFTOVER_AGE_S,
    NOTE,
    SHARED_AGE_S,
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
from crucible.blobs.transfer import Progress, TransferLog, Watch
from crucible.blobs.upload import PART_BYTES, Measured, measure, send_parts
from crucible.errors import StorageError, UsageError

PIECE_BYTES: Final = 8 * 1024 * 1024
"""How much is fetched at once; a download that breaks off has lost less than this."""
RENEWED_S: Final = SHARED_AGE_S / 7
"""A large content that is there already is sent again if it is older than this: so it is no garbage for days."""
ASKED_AT_ONCE: Final = 16
"""Requests on their way at once when many blobs are looked for."""
LISTED_FROM: Final = 2_000
"""To look for more blobs than this, all are listed."""
GRAIN_S: Final = 1.0
"""S3 cuts off what a time has below a second."""
READS_MAX: Final = 2
"""A content that does not match its digest is read once more: it may have been changed on its way."""


class RemoteBlobs(BlobStore):
    """The blobs below a prefix of a bucket."""

    def __init__(self, bucket: Bucket, cache: Cache, *, watch: Watch | None = None) -> None:
        """``watch`` is told how far large transfers are; None: log lines say it."""
        self._bucket = bucket
        self._cache = cache
        self._watch = TransferLog() if watch is None else watch

    @property
    def location(self) -> str:
        """``s3://bucket/prefix``."""
        return self._bucket.location

    @property
    def is_shared(self) -> bool:
        """Anyone with the keys may write here."""
        return True

    @property
    def grain_s(self) -> float:
        """A second."""
        return GRAIN_S

    @property
    def cache(self) -> Cache:
        """Copies on this host."""
        return self._cache

    def put_file(self, path: Path, *, is_given_away: bool = False) -> str:
        """Keep the content of a file. It is read twice if it is large, and must not change meanwhile."""
        _ = is_given_away
        with _said(path), path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= PART_BYTES:
                data = file.read(PART_BYTES + 1)
                if len(data) <= PART_BYTES:
                    return self._put(data)
            content = measure(path)
        with _said(path), alone(self._cache.upload(content.digest)) as begun:
            self._send(content, begun)
            Path(begun.name).unlink()
        return content.digest

    def put_many(self, contents: Iterable[bytes | Path]) -> list[str]:
        """Keep several contents, one after the other."""
        return [self.put_file(each) if isinstance(each, Path) else self._put(each) for each in contents]

    def get_path(self, digest: str, *, is_verified: bool = False) -> Path:
        """A copy of the blob on this host."""
        checked_digest(digest)
        path = self._cache.find(digest)
        if path is not None and is_verified:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    self._cache.drop(digest)
                    path = None
        return path if path is not None else self._fetched(digest)

    def get_bytes(self, digest: str) -> bytes:
        """The content, read from the server and compared."""
        for _ in range(READS_MAX):
            with self._named(digest):
                data = self._bucket.read(_key(digest))
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        raise damaged_error(digest, self.location)

    def copy_to(self, digest: str, target: Path, *, may_link: bool = False) -> None:
        """Write the content to a new file, from a copy of this host; a copy that was changed is fetched again."""
        _ = may_link
        for _ in range(READS_MAX):
            with self.get_path(digest).open("rb") as source:
                if copy_hashed(source, target) == digest:
                    return
            self._cache.drop(digest)
        raise damaged_error(digest, self.location)

    def is_same_file(self, digest: str, path: Path) -> bool:
        """No file of a host is a blob of a server."""
        _ = digest, path
        return False

    def exists(self, digest: str) -> bool:
        """Whether the server has it."""
        return self._bucket.find(_key(digest)) is not None

    def missing(self, digests: Collection[str]) -> list[str]:
        """Those that the server does not have, sorted."""
        wanted = [digest for digest in set(digests) if DIGEST.fullmatch(digest)]
        if len(wanted) > LISTED_FROM:
            there = set(self)
        else:
            with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="crucible-blobs") as pool:
                there = set(itertools.compress(wanted, pool.map(self.exists, wanted)))
        return sorted(set(digests) - there)

    def size_bytes(self, digest: str) -> int:
        """Its size."""
        return self._facts(digest).size_bytes

    def written_at(self, digest: str) -> float:
        """When it was last written, by the server's clock."""
        return self._facts(digest).written_at

    def verify(self, digest: str) -> None:
        """Read all of it from the server, and compare."""
        for _ in range(READS_MAX):
            found = hashlib.sha256()
            for piece in self._pieces(digest, 0):
                found.update(piece)
            if found.hexdigest() == digest:
                return
        raise damaged_error(digest, self.location)

    def remove(self, digest: str) -> bool:
        """Remove it from the server, and the copy of this host."""
        is_there = self.exists(digest)
        if is_there:
            self._bucket.remove(_key(digest))
        self._cache.drop(digest)
        return is_there

    def entries(self) -> Iterator[BlobFacts]:
        """Every blob, as the server lists them."""
        for found in self._bucket.listed("sha256/"):
            digest = found.key.rpartition("/")[2]
            if DIGEST.fullmatch(digest) and found.key == _key(digest):
                yield BlobFacts(digest, found.size_bytes, found.written_at)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Nothing to hold: what was written within ``SHARED_AGE_S`` is never swept."""
        yield

    @contextlib.contextmanager
    def sweeping(self, wait_s: float = SWEEP_WAIT_S) -> Iterator[None]:
        """Nothing to wait for: only what is older than ``SHARED_AGE_S`` may be swept."""
        _ = wait_s
        yield

    def leftovers(self, before: float | None = None) -> list[Leftover]:
        """Uploads that were begun longer ago than a day, or before ``before``, and are not complete."""
        oldest = time.time() - LEFTOVER_AGE_S if before is None else before
        return [
            Leftover(f"{each.key} {each.upload_id}", self._sent_bytes(each.key, each.upload_id))
            for each in self._bucket.uploads("sha256/")
            if each.begun_at < oldest
        ]

    def remove_leftover(self, name: str) -> bool:
        """Give an upload up."""
        key, _, upload_id = name.partition(" ")
        try:
            self._bucket.abort(key, upload_id)
        except NotThereError:
            return False
        return True

    def where(self, digest: str) -> str:
        """The address of a blob."""
        return f"{self.location}/{_key(digest)}"

    def removal(self, digest: str) -> str:
        """``aws s3 rm`` and the address."""
        return f"aws s3 rm {shlex.quote(self.where(digest))}"

    def probe(self) -> None:
        """Write an object, read it, list it, remove it."""
        data = os.urandom(64)
        key = f"probe/{data[:16].hex()}"
        self._bucket.write(key, data)
        try:
            found = self._bucket.read(key)
            is_listed = any(each.key == key for each in self._bucket.listed(key))
        finally:
            self._bucket.remove(key)
        if found != data or not is_listed:
            message = f"{self.location} gives back other bytes than were written, or does not list them"
            raise StorageError(message)

    def note(self, kind: NoteKind, name: str) -> None:
        """Leave an empty object."""
        self._bucket.write(f"{kind}/{checked_note(name)}", b"")

    def notes(self, kind: NoteKind) -> list[str]:
        """The notes of a kind, sorted."""
        names = (found.key.partition("/")[2] for found in self._bucket.listed(f"{kind}/"))
        return sorted(name for name in names if NOTE.fullmatch(name))

    def _send(self, content: Measured, begun: BinaryIO) -> None:
        """Send a large content, unless it is there and was sent not long ago."""
        key = _key(content.digest)
        found = self._bucket.find(key)
        if found is None or found.size_bytes != content.size_bytes or found.written_at < time.time() - RENEWED_S:
            progress = Progress(self._watch, "upload", content.digest, content.size_bytes)
            send_parts(self._bucket, key, content, progress, begun)

    def _put(self, data: bytes) -> str:
        """Keep a small content: sent even if it is there, which renews its time and mends one that was changed."""
        if len(data) > PART_BYTES:
            return self._put_large(data)
        digest = hashlib.sha256(data).hexdigest()
        self._bucket.write(_key(digest), data)
        return digest

    def _put_large(self, data: bytes) -> str:
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="crucible-blob-") as file:
            file.write(data)
            file.flush()
            return self.put_file(Path(file.name), is_given_away=True)

    def _fetched(self, digest: str) -> Path:
        for _ in range(READS_MAX):
            path = self._cache.fetch(digest, lambda offset: self._pieces(digest, offset))
            if path is not None:
                return path
        raise damaged_error(digest, self.location)

    def _pieces(self, digest: str, offset: int) -> Iterator[bytes]:
        """The content from an offset on."""
        size = self._facts(digest).size_bytes
        progress = Progress(self._watch, "download", digest, size)
        progress.add(min(offset, size))
        for start in range(offset, size, PIECE_BYTES):
            with self._named(digest):
                piece = self._bucket.read(_key(digest), start, min(start + PIECE_BYTES, size))
            progress.add(len(piece))
            yield piece

    def _facts(self, digest: str) -> ObjectFacts:
        found = self._bucket.find(_key(digest))
        if found is None:
            raise missing_error(digest, self.location)
        return found

    def _sent_bytes(self, key: str, upload_id: str) -> int:
        try:
            return sum(part.size_bytes for part in self._bucket.parts(key, upload_id).values())
        except NotThereError:
            return 0

    @contextlib.contextmanager
    def _named(self, digest: str) -> Iterator[None]:
        try:
            yield
        except NotThereError:
            raise missing_error(digest, self.location) from None


def _key(digest: str) -> str:
    return f"sha256/{checked_digest(digest)[:2]}/{digest}"


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """A file that is not there or can't be opened is its owner's mistake."""
    try:
        yield
    except OSError as error:
        message = f"{path} can't be kept: {error.strerror}"
        if error.errno in {errno.ENOENT, errno.EISDIR, errno.EACCES}:
            raise UsageError(message) from error
        raise StorageError(message) from error
