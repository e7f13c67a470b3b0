"""Blobs copied from one store to another: those that a log names, each compared with its digest on the way.

What the target has is left alone, so that a copy that was killed is gone on with. At its end the target is known by the
ids of the source as well: whoever needs the source's blobs finds them there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from crucible.blobs import BlobStore
from crucible.errors import BlobError
from crucible.faults import fault_point

COPIES_AT_ONCE: Final = 4
Progress = Callable[[int, int], None]
"""Is told how many blobs are done, and how many there are to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class BlobsCopied:
    """What became of the blobs that a log names."""

    there: int
    """Blobs that the target had."""
    copied: int
    copied_bytes: int
    missing: int
    """Digests that the source has no blob for: purged, or no digests of blobs."""
    damaged: Sequence[str]
    """Blobs of the source that do not match their digest: they were not copied."""


def copy_blobs(source: BlobStore, target: BlobStore, digests: Collection[str], progress: Progress) -> BlobsCopied:
    """Copy the blobs of these digests that the source has and the target lacks. Raises ``StorageError``."""
    missing = set(source.missing(digests))
    named = set(digests) - missing
    wanted = target.missing(named)
    damaged: list[str] = []
    sizes: list[int] = []
    with ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="crucible-blobs") as pool:
        open_copies: dict[Future[int], str] = {}
        left = iter(wanted)
        try:
            while True:
                for digest in left:
                    open_copies[pool.submit(_copy, source, target, digest)] = digest
                    if len(open_copies) >= 2 * COPIES_AT_ONCE:
                        break
                if not open_copies:
                    break
                for future in wait(open_copies, return_when=FIRST_COMPLETED).done:
                    digest = open_copies.pop(future)
                    try:
                        sizes.append(future.result())
                    except BlobError:
                        damaged.append(digest)
                    progress(len(sizes) + len(damaged), len(wanted))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if not damaged:
        for store_id in source.notes("stores"):
            target.note("stores", store_id)
    return BlobsCopied(len(named) - len(wanted), len(sizes), sum(sizes), len(missing), sorted(damaged))


def _copy(source: BlobStore, target: BlobStore, digest: str) -> int:
    path = source.get_path(digest, is_verified=True)
    size: int = path.stat().st_size
    if target.put_file(path) != digest:
        message = f"blob {digest} was changed while it was copied from {source.location}"
        raise BlobError(message)
    fault_point("copy:blob-copied")
    return size
