"""What a stage sees of the blobs: a folder at hand, or whoever has claimed the stage, who is asked for each.

A stage's process never speaks to a server: that would bring threads and connections into a process that other stages
use after it, and a session of its own into each.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Protocol

from crucible.blobs.durable import copy_hashed
from crucible.blobs.folder import FolderBlobs
from crucible.blobs.protocol import damaged_error
from crucible.stage_call import Services, StageCall


class StageBlobs(Protocol):
    """The part of a blob store that a stage needs."""

    def put_bytes(self, data: bytes) -> str:
        """Keep ``data`` and return its digest, once it is durable."""
        ...

    def get_bytes(self, digest: str) -> bytes:
        """The content; ``BlobError`` if it is missing or does not match its digest."""
        ...

    def copy_to(self, digest: str, target: Path) -> None:
        """Write the content to a file; ``BlobError`` if it is missing or does not match its digest."""
        ...


class AskedBlobs:
    """Blobs of a store that only the worker reaches: it fetches them to this host, and sends what is kept."""

    def __init__(self, call: StageCall, services: Services) -> None:
        """Ask ``services``."""
        self._folder = Path(call.scratch) / "blobs"
        self._services = services

    def put_bytes(self, data: bytes) -> str:
        """Give the worker a file to keep."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / uuid.uuid4().hex
        path.write_bytes(data)
        try:
            return self._services.keep_blob(path)
        finally:
            path.unlink(missing_ok=True)

    def get_bytes(self, digest: str) -> bytes:
        """Read the copy of this host; one that was changed is fetched again."""
        for is_verified in (False, True):
            data = self._services.fetch_blob(digest, is_verified=is_verified).read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        raise damaged_error(digest, "this host's copy")

    def copy_to(self, digest: str, target: Path) -> None:
        """Copy the copy of this host; one that was changed is fetched again."""
        for is_verified in (False, True):
            with self._services.fetch_blob(digest, is_verified=is_verified).open("rb") as source:
                if copy_hashed(source, target) == digest:
                    return
        raise damaged_error(digest, "this host's copy")


def open_stage_blobs(call: StageCall, services: Services) -> StageBlobs:
    """The blobs as the stage of this call sees them."""
    return FolderBlobs(Path(call.blobs)) if call.blobs else AskedBlobs(call, services)
