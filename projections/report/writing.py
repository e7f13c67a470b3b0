"""Reports that were asked for, as folders: made beside their place, and there whole or not at all.

A report tells the state at the position at which it was asked for. If its subject has changed since, it is rendered
from the read model as of then; else the live one says the same. So it does not matter when, and how often, it is made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.journal import Journal
from crucible.place import Place
from crucible.position import Position
from crucible.projections.mirror_files import Written, make_durable, page_bytes, remove_folder, sync_names
from crucible.projections.mirror_publish import MANIFEST, publishing
from crucible.projections.report.asked import COLUMNS
from crucible.projections.report.child import render_apart
from crucible.projections.report.experiment import report_of_submission
from crucible.projections.report.ledger import CursorReader, Reader
from crucible.projections.report.model import Report
from crucible.projections.report.render import checked_formats, versions
from crucible.projections.report.run import report_of_run
from crucible.projections.run_rows import safe_name
from crucible.projections.writer import Replacement

SCHEMA_VERSION = 1
_LABELS = "('CommandAccepted', 'CommandRejected', 'CommandObsolete', 'ReportRequested')"
"""Events that change nothing in a report."""


def write_report(
    cursor: Any, journal: Journal, place: Place, row: Sequence[Any], *, is_anew: bool = False
) -> Replacement:
    """Render the report of a row of ``reports`` into its folder: the row to commit. What goes wrong is in the row.

    A folder that is whole and of the same versions is left as it is, unless ``is_anew``.
    """
    asked = dict(zip(COLUMNS, row, strict=True))
    folder, digest, problem = "", None, None
    try:
        path = report_folder(cursor, place, asked["subject_kind"], asked["subject_id"]) / asked["report_id"]
        folder = str(path)
        digest = None if is_anew else _finished(path, asked, journal.log_id)
        if digest is None:
            kind, subject_id, position = asked["subject_kind"], asked["subject_id"], asked["position"]
            with _reader(cursor, journal, place, asked) as reader:
                report = make_report(reader, kind, subject_id, position=position, log_id=journal.log_id)
            formats = checked_formats(json.loads(asked["formats"]))
            digest = _write(place, path, report, formats, asked["report_id"])
    except Exception as error:  # noqa: BLE001  whatever its records say, other reports can be written
        problem = f"{type(error).__name__}: {error}"
    made = {**asked, "folder": folder, "manifest_digest": digest, "problem": problem}
    return ("reports", "report_id", asked["report_id"], [tuple(made[name] for name in COLUMNS)])


def make_report(reader: Reader, kind: str, subject_id: str, *, position: str, log_id: str) -> Report:
    """The report of a run or a submission as it stands behind ``reader``. Raises ``UsageError``."""
    make = report_of_run if kind == "run" else report_of_submission
    return make(reader, subject_id, position, log_id)


def report_folder(cursor: Any, place: Place, kind: str, subject_id: str) -> Path:
    """The folder ``reports`` of a run, or of a submission's experiment."""
    root = place.home
    if kind == "run":
        known = cursor.execute(
            "SELECT folder FROM mirrors WHERE subject_kind = 'run' AND subject_id = ? AND folder <> ''", [subject_id]
        ).fetchone()
        if known is not None:
            return Path(known[0]) / "reports"
        query = "SELECT output_dir, folder FROM runs WHERE run_id = ?"
    else:
        query = "SELECT output_dir, experiment FROM submissions WHERE submission_id = ?"
    output_dir, name = cursor.execute(query, [subject_id]).fetchone()
    folder: Path = root / output_dir / (name if kind == "run" else safe_name(name)) / "reports"
    return folder


def manifest_of(report: Report, formats: Sequence[str], files: Sequence[Written], report_id: str | None) -> bytes:
    """The manifest of a report's folder: what it is, what its bytes depend on, and every file with its digest."""
    page = {
        "schema_version": SCHEMA_VERSION,
        "report_id": report_id,
        "subject_kind": report.subject_kind,
        "subject_id": report.subject_id,
        "name": report.name,
        "position": report.position,
        "log_id": report.log_id,
        "formats": list(formats),
        "versions": versions(),
        "files": [dataclasses.asdict(file) for file in files],
    }
    return page_bytes(page)


def write_files(report: Report, formats: Sequence[str], folder: Path, report_id: str | None = None) -> str:
    """Render into a folder that is there, and its manifest last: the manifest's digest."""
    render_apart(report, formats, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [_written(folder, path) for path in paths]
    data = manifest_of(report, formats, files, report_id)
    (folder / MANIFEST).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _finished(path: Path, asked: Mapping[str, Any], log_id: str) -> str | None:
    """The digest of the manifest if the folder is this report, made by these versions, and every file is as it was."""
    try:
        data = (path / MANIFEST).read_bytes()
        manifest = json.loads(data)
        wanted = {"report_id": asked["report_id"], "position": asked["position"], "log_id": log_id}
        if any(manifest[name] != value for name, value in (wanted | {"versions": versions()}).items()):
            return None
        files = [Written(**file) for file in manifest["files"]]
        is_whole = all(_written(path, path / file.path) == file for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return hashlib.sha256(data).hexdigest() if is_whole else None


def _write(place: Place, path: Path, report: Report, formats: Sequence[str], report_id: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # of a writer that was killed
        remove_folder(left)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.mkdir()
    digest = write_files(report, formats, new, report_id)
    make_durable([new])
    with publishing(place):  # the folder of a run may be exchanged for a newer one at any time
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_folder(path)
        new.rename(path)
        sync_names([path.parent])
    return digest


def _written(folder: Path, path: Path) -> Written:
    data = path.read_bytes()
    return Written(path.relative_to(folder).as_posix(), len(data), hashlib.sha256(data).hexdigest())


@contextlib.contextmanager
def _reader(cursor: Any, journal: Journal, place: Place, asked: Mapping[str, Any]) -> Iterator[Reader]:
    """The live model if nothing was said of the subject since, else the model as of then."""
    position = journal.position_here(asked["report_id"], Position.parse(asked["position"]))
    if not _has_changed(cursor, asked["subject_kind"], asked["subject_id"], position):
        yield CursorReader(cursor)
        return
    from crucible.projections.as_of import open_as_of

    with open_as_of(journal, place, position) as reader:
        yield reader


def _has_changed(cursor: Any, kind: str, subject_id: str, position: Position) -> bool:
    """Whether records of the subject, or of its runs, stand at or after the position."""
    runs = "SELECT ?" if kind == "run" else "SELECT run_id FROM runs WHERE submission_id = ?"
    events = (
        f"SELECT log_partition, max(log_offset) FROM events WHERE type NOT IN {_LABELS} AND (key = ?"
        f" OR payload->>'$.submission_id' = ? OR run_id IN ({runs})) GROUP BY log_partition"
    )
    telemetry = (
        "SELECT t.log_partition, max(t.log_offset) FROM telemetry_records t JOIN run_keys k ON k.run_no = t.run_no"
        f" WHERE k.run_id IN ({runs}) GROUP BY t.log_partition"
    )
    newest = [("events", *row) for row in cursor.execute(events, [subject_id] * 3).fetchall()]
    newest += [("telemetry", *row) for row in cursor.execute(telemetry, [subject_id]).fetchall()]
    return any(offset >= position.offsets.get((topic, partition), 0) for topic, partition, offset in newest)
