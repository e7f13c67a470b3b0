"""Blobs that are missing or damaged and of which a whole copy stands in a run's folder.

A run's folder holds its checkpoints as links to the blobs where the file system has links, and as copies elsewhere: so
a blob that was removed is often still there, under the name that the run gave it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from crucible.blobs import BlobStore
from crucible.projections.mirror import Mirror
from crucible.projections.verification.mirrors import RecordedFolders

_CHECKPOINTS = """
SELECT c.run_id, r.generation, f.value->>'$.sha256' FROM checkpoints c JOIN runs r ON r.run_id = c.run_id,
  json_each(c.files) f
WHERE c.is_effective AND NOT r.is_purged
"""


class Copies:
    """Where whole copies of blobs stand."""

    def __init__(self, cursor: Any, mirror: Mirror, recorded: RecordedFolders | None) -> None:
        """Ask a model of the whole log; folders are looked at when a blob is asked for."""
        self._cursor = cursor
        self._mirror = mirror
        self._recorded = recorded or {}
        self._runs: dict[str, set[tuple[str, int]]] | None = None

    def find(self, digest: str) -> Path | None:
        """A file whose content is that blob's."""
        if self._runs is None:
            self._runs = {}
            for run_id, generation, named in self._cursor.execute(_CHECKPOINTS).fetchall():
                self._runs.setdefault(named, set()).add((run_id, generation))
        places = {subject_id: row.folder for (kind, subject_id), row in self._recorded.items() if kind == "run"}
        for expected in self._mirror.expected_runs(self._cursor, sorted(self._runs.get(digest, ())), places):
            for file in expected.files:
                path = expected.folder / file.path
                if file.sha256 == digest and path.is_file() and _digest(path) == digest:
                    return path
        return None

    def has(self, digest: str) -> bool:
        """Whether there is one."""
        return self.find(digest) is not None


def restore_blobs(blobs: BlobStore, copies: Copies, wanted: list[str]) -> list[str]:
    """Put blobs back of which there are copies; those that came back."""
    restored = []
    for digest in wanted:
        if (path := copies.find(digest)) is not None:
            blobs.remove(digest)
            blobs.put_file(path)
            restored.append(digest)
    return restored


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
