"""Content by digest: what records name but do not hold (checkpoints, artifacts, texts, log lines, code).

One protocol, `BlobStore`, with two stores behind it: a folder (`FolderBlobs`), and a bucket of S3 (`RemoteBlobs`,
extra ``s3``). `open_blobs` gives the one that a place names; both pass ``crucible.testing.blobs_conformance``.
"""

from crucible.blobs.folder import FolderBlobs
from crucible.blobs.opening import open_blobs, open_blobs_at
from crucible.blobs.protocol import BlobFacts, BlobStore, Leftover

__all__ = ["BlobFacts", "BlobStore", "FolderBlobs", "Leftover", "open_blobs", "open_blobs_at"]
