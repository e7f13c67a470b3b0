"""Where a blob store is: a folder, or ``s3://bucket/prefix``."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

FORM: Final = "a folder, or s3://bucket/prefix"
S3: Final = "s3://"
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PREFIX: Final = re.compile(r"[\w!.*'() /-]{0,512}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class BucketAddress:
    """A place in a bucket."""

    bucket: str
    prefix: str
    """Without slashes around it; empty: the whole bucket."""

    def __str__(self) -> str:
        """``s3://bucket/prefix``."""
        return f"{S3}{self.bucket}/{self.prefix}".rstrip("/")


def is_bucket(address: str) -> bool:
    """Whether an address is one of a bucket."""
    return address.startswith(S3)


def parse_bucket(address: str) -> BucketAddress:
    """The place that ``s3://bucket/prefix`` means. Raises ``ValueError`` that says what is wrong."""
    bucket, _, rest = address.removeprefix(S3).partition("/")
    prefix = rest.strip("/")
    if "@" in bucket or ":" in bucket:
        message = "holds a login or a port: give keys and AWS_ENDPOINT_URL in the environment, or a profile"
        raise ValueError(message)
    if not _BUCKET.fullmatch(bucket):
        message = "names no bucket"
        raise ValueError(message)
    parts = prefix.split("/") if prefix else []
    if not _PREFIX.fullmatch(prefix) or any(part in {"", ".", ".."} for part in parts):
        message = "has a prefix that no store can have"
        raise ValueError(message)
    return BucketAddress(bucket, prefix)
