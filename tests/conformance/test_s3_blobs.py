"""Blobs in a bucket of an S3 server that is not ours pass the suite that ships."""

import pytest

from crucible.blobs import open_blobs_at
from crucible.blobs.upload import PART_BYTES
from crucible.testing.blobs_conformance import BlobsConformance


class TestS3Blobs(BlobsConformance):
    large_bytes = 2 * PART_BYTES + 1_000
    writers = 3

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket):
        self.bucket = bucket

    def make_blobs(self, folder):
        return open_blobs_at(f"{self.bucket.address}/a prefix/x", folder)

    def change(self, digest, content):
        self.bucket.change(digest, content)
