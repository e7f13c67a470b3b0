"""Whether the reports that were rendered are as they were: the manifest by its digest, each file by the manifest.

A report is not rendered again for this: that it says what the log gives is what its own tests show, and `rebuild`
renders those anew that are not whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crucible.projections.mirror_publish import MANIFEST
from crucible.projections.verification.check import REBUILD, Check, Failure

_RENDERED = "SELECT report_id, folder, manifest_digest, problem FROM reports ORDER BY report_id"


def check_reports(cursor: Any | None) -> Check:
    """Compare the folder of each report that a model says was rendered; None: there is no model."""
    rows = cursor.execute(_RENDERED).fetchall() if cursor is not None else []
    failures = [
        Failure(problem, REBUILD)
        for report_id, folder, digest, failed in rows
        for problem in _problems(report_id, folder, digest, failed)
    ]
    waiting = sum(digest is None and failed is None for _, _, digest, failed in rows)
    text = f"{len(rows) - waiting:,} reports" + (f"; {waiting:,} yet to be rendered" if waiting else "")
    return Check("reports", text, failures)


def _problems(report_id: str, folder: str | None, digest: str | None, failed: str | None) -> Iterator[str]:
    if failed is not None:
        yield f"report {report_id} could not be rendered: {failed}"
    if digest is None or folder is None:
        return
    path = Path(folder)
    data = _bytes(path / MANIFEST)
    if data is None or hashlib.sha256(data).hexdigest() != digest:
        yield f"{path / MANIFEST} is not as it was written" if data is not None else f"{path / MANIFEST} is not there"
        return
    for file in json.loads(data)["files"]:
        content = _bytes(path / file["path"])
        if content is None:
            yield f"{path / file['path']} is not there"
        elif hashlib.sha256(content).hexdigest() != file["sha256"]:
            yield f"{path / file['path']} is not as it was written"


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
