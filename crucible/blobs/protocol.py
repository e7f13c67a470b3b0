"""What a blob store is: contents by their SHA-256, each whole or not there.

A blob is kept under ``sha256/ab/<digest>``. It appears there complete and durable or not at all, so that writers of
the same blob do not harm each other, and a worker whose claim has ended can only leave a blob that no record names.

Beside the blobs a store holds notes, which are names without content: ``stores/<id>`` says which store this is (a copy
of a store has the ids of both), ``logs/<id>`` which logs keep their blobs here.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal, Protocol

from crucible.errors import BlobError

CHUNK_BYTES: Final = 1024 * 1024
"""How much of a file is read at once."""
LEFTOVER_AGE_S: Final = 24 * 3600.0
"""What was begun longer ago than this and is not whole belongs to a writer that was killed."""
SHARED_AGE_S: Final = 7 * 24 * 3600.0
"""In a store that others write to as well nothing younger is removed as garbage: no lock of ours reaches them."""
SWEEP_WAIT_S: Final = 10.0
"""How long to wait until nobody is writing a blob."""
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
"""What a digest looks like."""

NoteKind = Literal["stores", "logs"]
NOTE: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
"""What a note may be called: an id."""


@dataclasses.dataclass(frozen=True, slots=True)
class BlobFacts:
    """What a store knows of a blob without reading it."""

    digest: str
    size_bytes: int
    written_at: float
    """When its newest writer wrote it, seconds since the epoch by the store's clock."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leftover:
    """What a writer that was killed has left."""

    name: str
    """For people, and for `BlobStore.remove_leftover`."""
    size_bytes: int


class BlobStore(Protocol):
    """Blobs by digest. Safe to use from any number of threads and processes.

    Whatever the store's disk, server or network does is a ``StorageError`` that says what and what to do; a blob that
    is missing or not what its digest says is a ``BlobError``.
    """

    @property
    def location(self) -> str:
        """Where the store is, for people; it never holds a secret."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether processes that this place knows nothing of may write here: other hosts, other logs."""
        ...

    @property
    def grain_s(self) -> float:
        """How much earlier than it was the time of a blob may be told, because it is cut off."""
        ...

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` and return its digest, once it is durable. Raises ``StorageError``."""
        return self.put_many([data])[0]

    def put_file(self, path: Path, *, is_given_away: bool = False) -> str:
        """Keep the content of a file and return its digest, once it is durable.

        With ``is_given_away`` the caller will never write to it again: a store may then take the file itself.
        Raises ``UsageError`` if there is no such file, ``StorageError``.
        """
        ...

    def put_many(self, contents: Iterable[bytes | Path]) -> list[str]:
        """Keep several contents. Returns the digests in order, once all are durable."""
        ...

    def get_path(self, digest: str, *, is_verified: bool = False) -> Path:
        """A file with the content, to be read soon and never written; with ``is_verified`` it is compared first.

        Raises ``BlobError``.
        """
        ...

    def get_bytes(self, digest: str) -> bytes:
        """The content, compared with its digest. Raises ``BlobError``."""
        ...

    def copy_to(self, digest: str, target: Path, *, may_link: bool = False) -> None:
        """Write the content to a new file, compared with its digest. Raises ``BlobError``.

        With ``may_link`` a hard link to the blob will do, where the store has one to give.
        """
        ...

    def is_same_file(self, digest: str, path: Path) -> bool:
        """Whether a file is the blob itself under another name, so that to read one is to read the other."""
        ...

    def exists(self, digest: str) -> bool:
        """Whether the blob is here."""
        ...

    def missing(self, digests: Collection[str]) -> list[str]:
        """Those that are not here, sorted; what is no digest is not here."""
        ...

    def size_bytes(self, digest: str) -> int:
        """Its size. Raises ``BlobError`` if it is missing."""
        ...

    def written_at(self, digest: str) -> float:
        """When the newest writer of the blob wrote it, seconds since the epoch. Raises ``BlobError``."""
        ...

    def verify(self, digest: str) -> None:
        """Compare the content with the digest. Raises ``BlobError`` when it is missing or does not match."""
        ...

    def remove(self, digest: str) -> bool:
        """Forget the blob for good; False if it was not here. Raises ``StorageError``."""
        ...

    def entries(self) -> Iterator[BlobFacts]:
        """Every blob, sorted by digest."""
        ...

    def __iter__(self) -> Iterator[str]:
        """Every digest, sorted."""
        return (facts.digest for facts in self.entries())

    def total_bytes(self) -> int:
        """The size of all blobs together."""
        return sum(facts.size_bytes for facts in self.entries())

    def keeping(self) -> AbstractContextManager[None]:
        """Let nobody sweep while the block runs: what it writes is named by a record at its end.

        A store whose lock does not reach every writer promises nothing here: see ``SHARED_AGE_S``.
        """
        ...

    def sweeping(self, wait_s: float = SWEEP_WAIT_S) -> AbstractContextManager[None]:
        """Be alone with the blobs, to remove some; keep it short. Raises ``StorageError`` after ``wait_s``."""
        ...

    def leftovers(self, before: float | None = None) -> list[Leftover]:
        """What writers that were killed have left: older than a day, or than ``before``."""
        ...

    def remove_leftover(self, name: str) -> bool:
        """Remove one; False if it was gone."""
        ...

    def where(self, digest: str) -> str:
        """Where a blob lies or would lie, for people. Raises ``BlobError`` for what is no digest."""
        ...

    def removal(self, digest: str) -> str:
        """The shell command by which people remove a blob."""
        ...

    def probe(self) -> None:
        """Write something, read it, remove it. Raises ``StorageError`` for what can't be done."""
        ...

    def note(self, kind: NoteKind, name: str) -> None:
        """Leave a note, durably; one that is there stays."""
        ...

    def notes(self, kind: NoteKind) -> list[str]:
        """The notes of a kind, sorted."""
        ...

    def identify(self) -> str:
        """The id of this store, which it gets now if it has none. Of several at once each is one of its ids."""
        if not self.notes("stores"):
            self.note("stores", str(uuid.uuid4()))
        return self.notes("stores")[0]


def checked_digest(digest: str) -> str:
    """``digest`` if it is one. Raises ``BlobError``: what is none never becomes a path or key."""
    if not DIGEST.fullmatch(digest):
        message = f"{digest!r:.80} is no digest; expected 64 hexadecimal digits"
        raise BlobError(message)
    return digest


def checked_note(name: str) -> str:
    """``name`` if a note can be called that. Raises ``BlobError``."""
    if not NOTE.fullmatch(name):
        message = f"{name!r:.80} is no name for a note; expected an id"
        raise BlobError(message)
    return name


def missing_error(digest: str, location: str) -> BlobError:
    """What to say of a blob that is not there."""
    message = f"blob {digest} is not in {location}; it was removed or never copied here: run its stage again"
    return BlobError(message)


def damaged_error(digest: str, location: str) -> BlobError:
    """What to say of a blob that was changed."""
    message = f"blob {digest} in {location} does not match its digest: it was changed; remove it, run its stage again"
    return BlobError(message)
