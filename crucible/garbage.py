"""What nobody needs any more in a log's folder, and how it goes.

The log decides: a blob that any record names stays, for ever. What no record names may be about to be named, so it
goes only if it is old, older than every living writer, and if, alone with the blobs, the log read to its end still does
not name it. Everything else here can be made again, or belongs to a claim that has ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal

from crucible.blobs import open_blobs
from crucible.blobs.cache import Cache
from crucible.blobs.protocol import SHARED_AGE_S
from crucible.errors import BlobError
from crucible.journal import Journal
from crucible.log.named_digests import NamedDigests
from crucible.place import Place
from crucible.writers import oldest_writer_start

BLOBS_AT_ONCE: Final = 500
"""Blobs removed while nobody may write one: a few milliseconds."""
KEPT_NAME_BYTES_MAX: Final = 4_096

Kind = Literal["blob", "temporary", "cached", "scratch", "set aside", "snapshot", "as of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that can go."""

    kind: Kind
    where: str
    size_bytes: int
    digest: str | None = None
    """Of a blob."""

    @property
    def path(self) -> Path:
        """Of what is neither a blob nor what is left of one."""
        return Path(self.where)


class Collector:
    """Finds what can go, and removes it. Safe beside living workers and engines."""

    def __init__(self, place: Place, journal: Journal, *, older_than_s: float, now: float) -> None:
        """What is younger than ``older_than_s`` at ``now``, seconds since the epoch, or than a living writer stays.

        In a store that others write to as well, blobs stay that are younger than ``SHARED_AGE_S``: no lock of this
        place reaches its writers. Where another log has its blobs too, all stay: what that one names is not known here.
        """
        self._place = place
        self._blobs = open_blobs(place)
        self._named = NamedDigests(journal.log)
        starts = [now - older_than_s, oldest_writer_start(place)]
        self._before = min(start for start in starts if start is not None)
        self._blobs_before = min(self._before, now - SHARED_AGE_S) if self._blobs.is_shared else self._before
        self.shared_with = [log_id for log_id in self._blobs.notes("logs") if log_id != journal.log_id]
        """Other logs that have their blobs in the same store."""

    def find(self, live_claims: Collection[str], scratch: Collection[Path]) -> list[Garbage]:
        """What can go. ``live_claims`` were read after ``scratch``, the folders of claims, was listed."""
        return [
            *self._blobs_to_go(),
            *self._temporary(),
            *self._cached(),
            *self._scratch(live_claims, scratch),
            *self._models(),
        ]

    def remove(self, garbage: Collection[Garbage]) -> list[Garbage]:
        """Remove what was found, if it still can go; what went. Raises ``StorageError``."""
        gone = self._remove_blobs([each for each in garbage if each.digest is not None])
        for each in garbage:
            if each.kind == "temporary":
                is_gone = self._blobs.remove_leftover(each.where)
            else:
                is_gone = each.digest is None and _remove(each.path)
            gone += [each] if is_gone else []
        return gone

    def _blobs_to_go(self) -> Iterator[Garbage]:
        if self.shared_with:
            return
        old = [each for each in self._blobs.entries() if each.written_at < self._blobs_before]
        if not old:
            return
        self._named.advance()
        kept = kept_digests(self._place)
        for each in old:
            if each.digest not in self._named.names and each.digest not in kept:
                yield Garbage("blob", self._blobs.where(each.digest), each.size_bytes, each.digest)

    def _remove_blobs(self, garbage: list[Garbage]) -> list[Garbage]:
        gone = []
        for start in range(0, len(garbage), BLOBS_AT_ONCE):
            with self._blobs.sweeping():
                self._named.advance()
                unsafe = self._named.names | kept_digests(self._place)
                for each in garbage[start : start + BLOBS_AT_ONCE]:
                    digest = each.digest or ""
                    if digest not in unsafe and self._is_old(digest) and self._blobs.remove(digest):
                        gone.append(each)
        return gone

    def _is_old(self, digest: str) -> bool:
        """Whether a blob is still there and nobody has written it again."""
        try:
            return self._blobs.written_at(digest) < self._blobs_before
        except BlobError:
            return False

    def _temporary(self) -> Iterator[Garbage]:
        for each in self._blobs.leftovers(self._blobs_before):
            yield Garbage("temporary", each.name, each.size_bytes)

    def _cached(self) -> Iterator[Garbage]:
        """Copies of blobs that are elsewhere, and have not been used since."""
        for path, facts in Cache(self._place.blob_cache).files():
            if facts.written_at < self._before:
                yield Garbage("cached", str(path), facts.size_bytes)

    def _scratch(self, live_claims: Collection[str], folders: Collection[Path]) -> Iterator[Garbage]:
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                if folder.name not in live_claims and folder.lstat().st_mtime < self._before:
                    yield Garbage("scratch", str(folder), tree_bytes(folder))

    def _models(self) -> Iterator[Garbage]:
        """Models that were set aside, models of the past, and all copies but the newest; unfinished copies too."""
        for path in sorted(self._place.model_root.glob(f"{self._place.read_model.name}.aside*")):
            if path.lstat().st_mtime < self._before:
                yield Garbage("set aside", str(path), path.lstat().st_size)
        for folder in _entries(self._place.as_of):
            if folder.lstat().st_mtime < self._before:
                yield Garbage("as of", str(folder), tree_bytes(folder))
        latest = (self._place.snapshots / "latest.duckdb").resolve()
        for path in sorted(self._place.snapshots.glob("*readmodel-*")):
            if path != latest and path.lstat().st_mtime < self._before:
                yield Garbage("snapshot", str(path), path.lstat().st_size)


def kept_digests(place: Place) -> set[str]:
    """Digests that a name in ``kept`` stands for: what is made once for a log, without a record."""
    found = set()
    for path in _entries(place.root / "kept"):
        with contextlib.suppress(OSError):
            if path.is_file() and path.lstat().st_size <= KEPT_NAME_BYTES_MAX:
                found.add(path.read_text(encoding="ascii", errors="replace").strip())
    return found


def scratch_folders(place: Place) -> list[Path]:
    """The folders of claims."""
    return _entries(place.scratch)


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count for themselves."""
    if path.is_symlink() or not path.is_dir():
        try:
            return path.lstat().st_size
        except OSError:
            return 0
    return sum(map(tree_bytes, _entries(path)))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True
