"""Large contents on their way to a bucket, in parts that stay there when the sender is killed.

The digests of all parts are made in the same pass as the digest of the whole; each part is compared with its own before
it is sent, and the server compares it when it comes. So what becomes the object is what the digest says, though the
file is read twice. An upload that a process of this host has begun and not finished is gone on with; of several that
live one sends and the others wait. Writers on other hosts have uploads of their own: to share one is more than all
servers can take.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

from crucible.blobs.bucket import Bucket, PartFacts
from crucible.blobs.bucket_errors import NotThereError, RefusedError
from crucible.blobs.protocol import CHUNK_BYTES
from crucible.blobs.transfer import Progress
from crucible.errors import StorageError, UsageError
from crucible.faults import fault_point

PART_BYTES: Final = 16 * 1024 * 1024
"""Size of a part; a content that is not larger is sent in one piece."""
PARTS_MAX: Final = 10_000
"""S3 takes no more: parts of very large contents are larger."""
PARTS_AT_ONCE: Final = 4
"""Parts in memory and on their way."""
ROUNDS_MAX: Final = 3
"""How often to begin again when somebody has ended our upload."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A file's content as it was when it was measured."""

    path: Path
    digest: str
    size_bytes: int
    part_bytes: int
    part_digests: Sequence[bytes]


def measure(path: Path) -> Measured:
    """Read a file once, for the digests of the whole and of its parts."""
    whole = hashlib.sha256()
    parts: list[bytes] = []
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        part_bytes = part_size(size)
        left = size
        while left:
            part = hashlib.sha256()
            wanted = min(part_bytes, left)
            while wanted and (chunk := file.read(min(CHUNK_BYTES, wanted))):
                whole.update(chunk)
                part.update(chunk)
                wanted -= len(chunk)
                left -= len(chunk)
            if wanted:
                message = f"{path} became shorter while it was kept; save the files before they are kept"
                raise UsageError(message)
            parts.append(part.digest())
    return Measured(path, whole.hexdigest(), size, part_bytes, parts)


def part_size(size_bytes: int) -> int:
    """The size of the parts of a content: the same for whoever sends it."""
    pieces = -(-size_bytes // (PARTS_MAX * PART_BYTES))
    return PART_BYTES * max(1, pieces)


def send_parts(bucket: Bucket, key: str, content: Measured, progress: Progress, begun: BinaryIO) -> None:
    """Make the object ``key`` of a measured file. ``begun`` holds the id of an upload that was begun here, if any.

    Raises ``UsageError`` if the file has changed since it was measured.
    """
    for _ in range(ROUNDS_MAX):
        upload_id, there = _begun(bucket, key, begun)
        try:
            _send_round(bucket, key, content, progress, upload_id, there)
        except NotThereError:  # it was given up, as old ones are
            begun.truncate(0)
        else:
            _require_whole(bucket, key, content)
            return
    message = f"{bucket.location} ended the upload of {content.path} {ROUNDS_MAX} times before it was complete"
    raise StorageError(message)


def _begun(bucket: Bucket, key: str, begun: BinaryIO) -> tuple[str, dict[int, PartFacts]]:
    """The upload that was begun here, with its parts; else a new one."""
    begun.seek(0)
    upload_id = begun.read().decode("ascii", "replace").strip()
    if upload_id:
        with contextlib.suppress(NotThereError, RefusedError):
            return upload_id, bucket.parts(key, upload_id)
    upload_id = bucket.begin(key)
    begun.truncate(0)
    begun.write(upload_id.encode())
    begun.flush()
    fault_point("upload:begun")
    return upload_id, {}


def _send_round(  # noqa: PLR0917  one after the other, as they come to be
    bucket: Bucket, key: str, content: Measured, progress: Progress, upload_id: str, there: dict[int, PartFacts]
) -> None:
    def send(number: int) -> tuple[int, PartFacts]:
        expected = content.part_digests[number - 1]
        part, size = there.get(number), min(content.part_bytes, content.size_bytes - (number - 1) * content.part_bytes)
        if part is None or part.sha256 != base64.b64encode(expected).decode() or part.size_bytes != size:
            part = bucket.send_part(key, upload_id, number, _part(content, number, expected))
            fault_point("upload:part-sent")
        progress.add(size)
        return number, part

    with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="crucible-upload") as pool:
        futures = [pool.submit(send, number) for number in range(1, len(content.part_digests) + 1)]
        try:
            parts = dict(future.result() for future in futures)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    fault_point("upload:before-complete")
    bucket.complete(key, upload_id, parts)
    fault_point("upload:complete")


def _part(content: Measured, number: int, expected: bytes) -> bytes:
    with content.path.open("rb") as file:
        file.seek((number - 1) * content.part_bytes)
        data = file.read(min(content.part_bytes, content.size_bytes - file.tell()))
    if hashlib.sha256(data).digest() != expected:
        message = f"{content.path} was changed while it was kept; save the files before they are kept"
        raise UsageError(message)
    return data


def _require_whole(bucket: Bucket, key: str, content: Measured) -> None:
    found = bucket.find(key)
    if found is None or found.size_bytes != content.size_bytes:
        size = "nothing" if found is None else f"{found.size_bytes:,} bytes"
        message = f"{bucket.location} holds {size} after an upload of {content.size_bytes:,} bytes was completed"
        raise StorageError(message)
