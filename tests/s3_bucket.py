"""A bucket for a test: on the S3 server of ``tools.s3``, else the test is skipped with the reason."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.s3 import NoS3ServerError, S3Server

_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True, slots=True)
class BucketUnderTest:
    """A bucket, and the files behind it."""

    server: S3Server
    name: str
    folder: Path
    """The server keeps each object as a file here."""

    @property
    def address(self) -> str:
        """For ``CRUCIBLE_BLOBS``."""
        return f"s3://{self.name}"

    def path(self, digest: str) -> Path:
        """The file of a blob."""
        (path,) = self.folder.rglob(f"sha256/{digest[:2]}/{digest}")
        return path

    def change(self, digest: str, content: bytes) -> None:
        """Put other bytes in place of a blob's, behind the server's back."""
        with self.path(digest).open("r+b") as file:
            file.write(content)
            file.truncate()

    def age(self, digest: str, seconds: float) -> None:
        """Make a blob older, as the server will tell."""
        found = self.path(digest).stat().st_mtime - seconds
        os.utime(self.path(digest), (found, found))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests of a session; with ``CI=true`` it has to be there."""
    try:
        server = S3Server.start(tmp_path_factory.mktemp("s3"))
    except NoS3ServerError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no S3 server: {error}")
        pytest.skip(f"no S3 server: {error}")
    with server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> BucketUnderTest:
    """An empty bucket that this process has the keys of."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_numbers)}"
    return BucketUnderTest(s3_server, bucket, s3_server.make_bucket(bucket))
