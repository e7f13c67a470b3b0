"""Which store an address means."""

from __future__ import annotations

from pathlib import Path

from crucible.blobs.folder import FolderBlobs
from crucible.blobs.protocol import BlobStore
from crucible.blobs_address import is_bucket, parse_bucket
from crucible.place import Place


def open_blobs(place: Place) -> BlobStore:
    """The blobs of a place: beside its log, or where it says. Nothing is asked or made before it is needed.

    Raises ``DependencyError`` if the store needs a package that is not installed.
    """
    if place.blobs_address is None:
        return FolderBlobs(place.blobs)
    return open_blobs_at(place.blobs_address, place.blob_cache)


def open_blobs_at(address: str, cache: Path) -> BlobStore:
    """The blobs at an address that others may write to as well. ``cache`` is a folder of this host."""
    if not is_bucket(address):
        return FolderBlobs(Path(address), is_shared=True)
    from crucible.blobs.bucket import Bucket
    from crucible.blobs.cache import Cache
    from crucible.blobs.remote import RemoteBlobs

    return RemoteBlobs(Bucket(parse_bucket(address)), Cache(cache))
