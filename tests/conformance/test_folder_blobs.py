"""Blobs in a folder pass the suite that ships."""

from pathlib import Path

from crucible.blobs import FolderBlobs
from crucible.testing.blobs_conformance import BlobsConformance


class TestFolderBlobs(BlobsConformance):
    def make_blobs(self, folder):
        return FolderBlobs(folder)

    def change(self, digest, content):
        path = Path(self.blobs.where(digest))
        path.chmod(0o644)
        path.write_bytes(content)
