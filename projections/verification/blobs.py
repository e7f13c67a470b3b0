"""Whether every blob is what its name says, and whether every blob that a record names is there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from crucible.blobs import BlobStore
from crucible.errors import BlobError
from crucible.projections.named_blobs import Naming, named_blobs
from crucible.projections.verification.check import REBUILD, Check, Failure

CanRestore = Callable[[str], bool]
"""Whether a whole copy of a blob stands in a run's folder."""


class NamedBlobs:
    """The blobs that records name, and what is known of the runs that they belong to."""

    def __init__(self, cursor: Any, can_restore: CanRestore) -> None:
        """Ask a model of the whole log."""
        self._named: Mapping[str, list[Naming]] = named_blobs(cursor)
        self._can_restore = can_restore
        runs = cursor.execute("SELECT run_id, ref, is_purged FROM runs").fetchall()
        self._refs = {run_id: ref for run_id, ref, _ in runs}
        self._purged_runs = {run_id for run_id, _, is_purged in runs if is_purged}

    def __iter__(self) -> Iterator[str]:
        """Every digest, sorted."""
        return iter(sorted(self._named))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._named)

    def is_purged(self, digest: str) -> bool:
        """Whether it was removed on request: all that name it were purged."""
        return all(naming.run_id in self._purged_runs for naming in self._named[digest])

    def named_by(self, digest: str) -> str:
        """Which records name it, for people."""
        namings = self._named.get(digest, [])
        if not namings:
            return "no record names it"
        first = namings[0]
        place = f" of {self._refs.get(first.run_id, first.run_id)}" if first.run_id else ""
        place += f", stage {first.stage}" if first.stage else ""
        more = f", and {len(namings) - 1} more" if len(namings) > 1 else ""
        return f"named by {first.record_type} {first.event_id}{place}{more}"

    def mend(self, digest: str, blobs: BlobStore) -> str:
        """The command that brings it back, or what to do."""
        path = shlex.quote(blobs.where(digest))
        if digest not in self._named:
            return blobs.removal(digest)
        if self._can_restore(digest):
            return REBUILD
        naming = next((each for each in self._named[digest] if each.run_id and each.stage), None)
        if naming is None or naming.run_id is None:
            return f"put the file back from a copy, as {path}"
        ref = shlex.quote(self._refs.get(naming.run_id, naming.run_id))
        return f"put the file back from a copy, as {path}, or make its like: crucible reproduce {ref}"


def check_blobs(blobs: BlobStore, named: NamedBlobs | None, damaged: list[str], count: int) -> Check:
    """The blobs whose content is not what their name says."""
    failures = [
        Failure(
            f"blob {digest} does not match its digest: it was changed or cut"
            + (f" ({named.named_by(digest)})" if named is not None else ""),
            named.mend(digest, blobs) if named is not None else "mend the log first: it says who names the blob",
        )
        for digest in damaged
    ]
    return Check("blobs", f"{count:,} blobs", failures)


def find_damaged(blobs: BlobStore) -> tuple[int, list[str]]:
    """How many blobs there are, and those whose content is not what their name says."""
    count, damaged = 0, []
    for digest in blobs:
        count += 1
        try:
            blobs.verify(digest)
        except BlobError:
            damaged.append(digest)
    return count, damaged


def missing_blobs(blobs: BlobStore, named: NamedBlobs) -> tuple[list[str], int]:
    """Blobs that records name and that are not here, and how many of those are gone because their run was purged."""
    missing = blobs.missing(list(named))
    purged = [digest for digest in missing if named.is_purged(digest)]
    gone = set(purged)
    return [digest for digest in missing if digest not in gone], len(purged)
