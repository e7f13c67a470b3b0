"""The one seam to S3: objects below a prefix of a bucket, read, written and listed through s3fs.

Keys, endpoint, region and profile come from where every tool of AWS takes them (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ``AWS_PROFILE``, …). Every object and every part goes out with its SHA-256, which the server
compares before it takes it.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from crucible.blobs.bucket_errors import NotThereError, RefusedError, explaining
from crucible.blobs_address import BucketAddress
from crucible.errors import DependencyError, StorageError

ATTEMPTS_MAX: Final = 4
"""How often a request is sent; the pauses between grow to 4 s."""
CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60
BROKEN_PAUSE_S: Final = 0.5
"""Wait before an answer that broke off is asked for again; grows with each."""
WRITES_MAX: Final = 4
REFUSED_PAUSE_S: Final = 0.05
CONNECTIONS_MAX: Final = 32
LISTED_AT_ONCE: Final = 1_000

_filesystems: dict[tuple[object, ...], Any] = {}
_guard = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a server says of an object."""

    key: str
    """Below the prefix."""
    size_bytes: int
    written_at: float
    """Seconds since the epoch, by the server's clock."""


@dataclasses.dataclass(frozen=True, slots=True)
class PartFacts:
    """A part that a server has."""

    etag: str
    sha256: str | None
    """Base64; None if the server does not say."""
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was begun and is not complete."""

    key: str
    upload_id: str
    begun_at: float


class Bucket:
    """Objects below a prefix. Every method may be called from any thread, and after a fork."""

    def __init__(self, address: BucketAddress) -> None:
        """Nothing is asked before the first call. Raises ``DependencyError`` without s3fs."""
        try:
            import s3fs
        except ImportError:
            message = "blobs in S3 need s3fs: pip install 'crucible-experiments[s3]'"
            raise DependencyError(message) from None
        _ = s3fs
        self.location = str(address)
        self._bucket = address.bucket
        self._prefix = f"{address.prefix}/" if address.prefix else ""
        self._is_found = False

    def find(self, key: str) -> ObjectFacts | None:
        """What the server says of an object; None if it is not there."""
        try:
            answer = self._call("head_object", key)
        except NotThereError:
            self._require()
            return None
        return ObjectFacts(key, int(answer["ContentLength"]), answer["LastModified"].timestamp())

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object from ``start`` to before ``end``. Raises ``NotThereError``.

        A request that failed is sent again by botocore, an answer that breaks off is asked for again here.
        """
        from fsspec.asyn import sync

        span = {} if start is None or end is None else {"Range": f"bytes={start}-{end - 1}"}
        for attempt in itertools.count(1):
            body = self._call("get_object", key, **span)["Body"]
            try:
                data: bytes = sync(_filesystem().loop, body.read)
            except Exception:
                if attempt == ATTEMPTS_MAX:
                    with self._explaining():
                        raise
                time.sleep(BROKEN_PAUSE_S * attempt)
            else:
                return data
        raise AssertionError

    def write(self, key: str, data: bytes) -> None:
        """Make or replace an object. Raises ``StorageError`` unless the server confirms its content."""
        answer = self._put(key, data)
        _require_confirmed(self.location, key, PartFacts(answer["ETag"], answer.get("ChecksumSHA256"), 0), data)

    def _put(self, key: str, data: bytes) -> Mapping[str, Any]:
        """Servers that keep objects as files may refuse one while another is removed from its folder: ask again."""
        for attempt in range(1, WRITES_MAX):
            try:
                return self._call("put_object", key, Body=data, ChecksumSHA256=sha256_text(data))
            except RefusedError:
                time.sleep(REFUSED_PAUSE_S * attempt)
        return self._call("put_object", key, Body=data, ChecksumSHA256=sha256_text(data))

    def remove(self, key: str) -> None:
        """Remove an object; it may be gone already."""
        self._call("delete_object", key)

    def listed(self, folder: str) -> Iterator[ObjectFacts]:
        """Every object whose key begins with ``folder``, sorted."""
        token: dict[str, str] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=self._prefix + folder, MaxKeys=LISTED_AT_ONCE, **token)
            for found in answer.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield ObjectFacts(key, int(found["Size"]), found["LastModified"].timestamp())
            if not answer.get("IsTruncated"):
                return
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    # Uploads in parts

    def uploads(self, folder: str) -> list[OpenUpload]:
        """Uploads of keys that begin with ``folder``."""
        found: list[OpenUpload] = []
        marker: dict[str, str] = {}
        while True:
            answer = self._call("list_multipart_uploads", Prefix=self._prefix + folder, **marker)
            for each in answer.get("Uploads", ()):
                key = each["Key"].removeprefix(self._prefix)
                found.append(OpenUpload(key, each["UploadId"], each["Initiated"].timestamp()))
            if not answer.get("IsTruncated"):
                return found
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def begin(self, key: str) -> str:
        """Begin an upload; returns its id. The object appears once it is complete."""
        return str(self._call("create_multipart_upload", key, ChecksumAlgorithm="SHA256")["UploadId"])

    def parts(self, key: str, upload_id: str) -> dict[int, PartFacts]:
        """The parts that the server has. Raises ``NotThereError`` if the upload has ended."""
        found: dict[int, PartFacts] = {}
        marker: dict[str, int] = {}
        while True:
            answer = self._call("list_parts", key, UploadId=upload_id, **marker)
            for each in answer.get("Parts", ()):
                facts = PartFacts(each["ETag"], each.get("ChecksumSHA256"), int(each["Size"]))
                found[int(each["PartNumber"])] = facts
            if not answer.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": int(answer["NextPartNumberMarker"])}

    def send_part(self, key: str, upload_id: str, number: int, data: bytes) -> PartFacts:
        """Send a part. Raises ``NotThereError`` if the upload has ended, ``StorageError`` unless it is confirmed."""
        checksum = sha256_text(data)
        answer = self._call(
            "upload_part", key, UploadId=upload_id, PartNumber=number, Body=data, ChecksumSHA256=checksum
        )
        sent = PartFacts(answer["ETag"], answer.get("ChecksumSHA256"), len(data))
        _require_confirmed(self.location, f"{key}, part {number}", sent, data)
        return dataclasses.replace(sent, sha256=checksum)

    def complete(self, key: str, upload_id: str, parts: Mapping[int, PartFacts]) -> None:
        """Make the object of its parts. Raises ``NotThereError`` if the upload has ended."""
        listed: Sequence[Mapping[str, Any]] = [
            {"PartNumber": number, "ETag": part.etag, "ChecksumSHA256": part.sha256}
            for number, part in sorted(parts.items())
        ]
        self._call("complete_multipart_upload", key, UploadId=upload_id, MultipartUpload={"Parts": listed})

    def abort(self, key: str, upload_id: str) -> None:
        """Give an upload up, and its parts. Raises ``NotThereError`` if it has ended."""
        self._call("abort_multipart_upload", key, UploadId=upload_id)

    def _call(self, method: str, key: str | None = None, **arguments: Any) -> Mapping[str, Any]:
        named = {} if key is None else {"Key": self._prefix + key}
        with self._explaining():
            answer: Mapping[str, Any] = _filesystem().call_s3(method, Bucket=self._bucket, **named, **arguments)
            return answer

    def _require(self) -> None:
        """Tell a bucket that is not there, or wrong keys, from an object that is not there: a HEAD says 404 to all."""
        if not self._is_found:
            self._call("list_objects_v2", MaxKeys=1, Prefix=self._prefix)
            self._is_found = True

    def _explaining(self) -> Any:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return explaining(self.location, self._bucket, endpoint)


def sha256_text(data: bytes) -> str:
    """The SHA-256 of bytes as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _require_confirmed(location: str, name: str, answer: PartFacts, data: bytes) -> None:
    """Believe a server that names the content's checksum, or its MD5 as those do that know no other."""
    expected = {sha256_text(data), hashlib.md5(data, usedforsecurity=False).hexdigest()}
    if answer.sha256 not in expected and answer.etag.strip('"') not in expected:
        message = f"{location} does not confirm what it was sent as {name}: it names another checksum, or none"
        raise StorageError(message)


def _filesystem() -> Any:
    """One session for each process and each set of keys: to make one takes as long as many requests."""
    keys = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    identity = (os.getpid(), *keys)
    with _guard:
        if identity not in _filesystems:
            import s3fs

            _filesystems[identity] = s3fs.S3FileSystem(
                skip_instance_cache=True,
                use_listings_cache=False,
                config_kwargs={
                    "connect_timeout": CONNECT_TIMEOUT_S,
                    "read_timeout": READ_TIMEOUT_S,
                    "max_pool_connections": CONNECTIONS_MAX,
                    "request_checksum_calculation": "when_required",  # we give those that we want, and compare
                    "response_checksum_validation": "when_required",  # every read with the digest
                    "retries": {"mode": "standard", "max_attempts": ATTEMPTS_MAX},
                },
            )
            _filesystems[identity].retries = 1
        return _filesystems[identity]
