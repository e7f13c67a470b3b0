"""Whether the reports that were rendered are as they were: the manifest by its digest, each file by the manifest.

A report is not rendered again for this: that it says what the log gives is what its own tests show, and `rebuild`
renders those anew that are not whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.projections.mirror import Mirror
from crucible.projections.mirror_publish import MANIFEST
from crucible.projections.run_rows import safe_name
from crucible.projections.verification.check import REBUILD, Check, Failure

_RENDERED = """
SELECT t.report_id, coalesce(r.output_dir, s.output_dir), r.folder, s.experiment, t.folder, t.manifest_digest, t.problem
FROM reports t
LEFT JOIN runs r ON t.subject_kind = 'run' AND r.run_id = t.subject_id
LEFT JOIN submissions s ON t.subject_kind = 'submission' AND s.submission_id = t.subject_id
ORDER BY t.report_id
"""


def check_reports(cursor: Any | None, mirror: Mirror) -> Check:
    """Compare the folder of each report that a model says was rendered; None: there is no model."""
    found = report_problems(cursor, mirror) if cursor is not None else {}
    failures = [Failure(problem, REBUILD) for problems in found.values() for problem in problems or ()]
    waiting = sum(problems is None for problems in found.values())
    text = f"{len(found) - waiting:,} reports" + (f"; {waiting:,} yet to be rendered" if waiting else "")
    return Check("reports", text, failures)


def report_problems(cursor: Any, mirror: Mirror) -> Mapping[str, Sequence[str] | None]:
    """For each report what of it is not as it was rendered; None: a model does not say that it was."""
    found: dict[str, Sequence[str] | None] = {}
    for report_id, output_dir, run, experiment, recorded, digest, failed in cursor.execute(_RENDERED).fetchall():
        if failed is not None:
            found[report_id] = [f"report {report_id} could not be rendered: {failed}"]
        elif digest is None or recorded is None or output_dir is None:
            found[report_id] = None
        else:
            # The log may have been moved since: what a model records is where it was then.
            subject = mirror.place_of(output_dir, run if run is not None else safe_name(experiment))
            folder = subject.with_name(Path(recorded).parent.parent.name) / "reports" / report_id
            found[report_id] = list(_problems(folder, digest))
    return found


def _problems(path: Path, digest: str) -> Iterator[str]:
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
