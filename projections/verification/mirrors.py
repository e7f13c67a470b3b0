"""Whether the folders of runs and experiments hold what the log gives, to the byte.

The folder of a run that was reopened stays that of its previous end until its next one: it has to be as it was written
then. A folder that is not yet written is no failure, nor one that was written anew since the model was copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import BlobStore
from crucible.projections.mirror import Expected, Mirror, read_manifest
from crucible.projections.mirror_files import Written
from crucible.projections.mirror_publish import CONTENT, MANIFEST
from crucible.projections.verification.check import REBUILD, Check, Failure
from crucible.projections.writer import Replacement

RUNS_AT_ONCE = 500
"""Runs whose folders are reckoned with at once: nothing is written, so that it costs little to be interrupted."""
_RUNS = "SELECT run_id, generation FROM runs WHERE is_complete ORDER BY run_no"
_RUNNING_AGAIN = """
SELECT run_id, output_dir, folder FROM runs WHERE NOT is_complete AND generation > 1 AND NOT is_purged ORDER BY run_no
"""
_SUBMISSIONS = """
SELECT s.submission_id, s.generation, s.experiment, s.output_dir FROM submissions s
JOIN judgements j ON j.submission_id = s.submission_id AND j.generation = s.generation ORDER BY s.submission_id
"""
_OPEN_AGAIN = """
SELECT DISTINCT s.experiment, s.output_dir FROM submissions s
WHERE NOT EXISTS (SELECT 1 FROM judgements j WHERE j.submission_id = s.submission_id AND j.generation = s.generation)
  AND (s.generation > 1 OR EXISTS (
    SELECT 1 FROM runs r WHERE r.submission_id = s.submission_id AND r.generation > 1))
"""
_RECORDED = "SELECT subject_kind, subject_id, generation, folder, manifest_digest, problem FROM mirrors"


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """What a model says of a folder that was written."""

    generation: int
    folder: str
    digest: str | None
    problem: str | None


RecordedFolders = Mapping[tuple[str, str], Recorded]


def recorded_folders(cursor: Any, fresh: Any) -> RecordedFolders:
    """What a model says of the folders that were written, by kind and id of their subject.

    ``fresh`` is the model of the whole log: the folder of a run that is purged by now and whose content this one has
    not yet removed is yet to be written.
    """
    rows = cursor.execute(_RECORDED).fetchall()
    purged = {row[0] for row in fresh.execute("SELECT run_id FROM runs WHERE is_purged").fetchall()}
    waiting = purged - {row[0] for row in cursor.execute("SELECT run_id FROM purges").fetchall()}
    return {(kind, subject_id): Recorded(*rest) for kind, subject_id, *rest in rows if subject_id not in waiting}


def expected_folders(cursor: Any, mirror: Mirror, recorded: RecordedFolders | None) -> Iterator[Expected]:
    """Every folder that the log gives, as it should be; those of what runs again are left out."""
    places = {subject_id: row.folder for (kind, subject_id), row in (recorded or {}).items() if kind == "run"}
    runs: Sequence[tuple[str, int]] = cursor.execute(_RUNS).fetchall()
    for start in range(0, len(runs), RUNS_AT_ONCE):
        yield from mirror.expected_runs(cursor, runs[start : start + RUNS_AT_ONCE], places)
    again = set(cursor.execute(_OPEN_AGAIN).fetchall())
    experiments: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for submission_id, generation, experiment, output_dir in cursor.execute(_SUBMISSIONS).fetchall():
        experiments[experiment, output_dir].append((submission_id, generation))
    for (experiment, output_dir), submissions in experiments.items():
        if (experiment, output_dir) not in again:
            yield from mirror.expected_submissions(cursor, experiment, output_dir, submissions)


def check_mirrors(
    cursor: Any, mirror: Mirror, recorded: RecordedFolders | None, blobs: BlobStore, *, may_move: bool
) -> Check:
    """Compare every folder; ``recorded`` is None if there is no model that says what was written.

    ``may_move``: an engine is at work, so that a folder may be newer than the model that is looked at.
    """
    failures: list[Failure] = []
    files: set[str] = set()
    folders: set[Path] = set()
    waiting: set[Path] = set()
    for expected in expected_folders(cursor, mirror, recorded):
        row = (recorded or {}).get((expected.subject_kind, expected.subject_id))
        if row is not None and row.generation == expected.generation and row.problem is not None:
            failures.append(Failure(f"the folder {row.folder} could not be written: {row.problem}", REBUILD))
        elif recorded is not None and not is_written(expected, recorded):
            waiting.add(expected.folder)
        else:
            folders.add(expected.folder)
            files |= {f"{expected.folder}/{file.path}" for file in expected.files}
            if not (may_move and is_newer(expected)):
                failures += [Failure(problem, REBUILD) for problem in folder_problems(expected, blobs)]
    kept = _kept(cursor, mirror, recorded or {})
    failures += [failure for row in kept for failure in _kept_problems(row)]
    text = f"{len(folders):,} folders, {len(files):,} files"
    text += f"; {len(kept):,} of an earlier end of what runs again" if kept else ""
    text += f"; {len(waiting):,} yet to be written" if waiting else ""
    return Check("mirrors", text, list(dict.fromkeys(failures)))


def is_written(expected: Expected, recorded: RecordedFolders) -> bool:
    """Whether a model says that all that a folder tells of has been written."""
    rows = ((recorded.get((expected.subject_kind, subject)), end) for subject, end in expected.ends.items())
    return all(row is not None and row.generation == end for row, end in rows)


def folder_problems(expected: Expected, blobs: BlobStore) -> Iterator[str]:
    """What of a folder is not as it should be."""
    folder = str(expected.folder)
    if not expected.folder.is_dir():
        yield f"the folder {folder} is not there"
        return
    for file in expected.files:
        path = f"{folder}/{file.path}"
        if problem := _file_problem(path, file, blobs):
            yield f"{path} {problem}"
    if expected.subject_kind == "run":
        wanted = {file.path for file in expected.files}
        for path in sorted(_ours(folder)):
            if path not in wanted:
                yield f"{folder}/{path} is not from the log: files of one's own belong beside, not below, {CONTENT[-2]}"


def is_newer(expected: Expected) -> bool:
    """Whether the folder tells of a later end by now."""
    manifest = read_manifest(expected.folder, expected.files[-1].path)
    parts = [manifest] if expected.subject_kind == "run" else manifest.get("submissions")
    try:
        found = {part[f"{expected.subject_kind}_id"]: int(part["generation"]) for part in parts or ()}
    except (KeyError, TypeError, ValueError):
        return False
    return any(generation > expected.ends.get(subject_id, 0) for subject_id, generation in found.items())


def _file_problem(path: str, file: Written, blobs: BlobStore) -> str | None:
    try:
        found = os.stat(path)  # noqa: PTH116  a Path for each file takes longer than to look at it
        if found.st_size != file.size_bytes:
            return f"has {found.st_size:,} bytes, the log gives {file.size_bytes:,}"
        if file.path.startswith("checkpoints/") and blobs.is_same_file(file.sha256, Path(path)):
            return None  # the blob itself under another name, which is read where blobs are
        with open(path, "rb", buffering=0) as opened:  # noqa: PTH123
            if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
                return "was changed: it is not what the log gives"
    except OSError as error:
        return "is not there" if isinstance(error, FileNotFoundError) else f"can't be read: {error.strerror}"
    return None


def _ours(folder: str) -> Iterator[str]:
    """The files under names that are ours."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if entry.name in CONTENT]
    except OSError:
        return  # what the log gives was not readable in there either
    for entry in entries:
        if not entry.is_dir():
            yield entry.name
            continue
        for place, folders, files in os.walk(entry.path):
            links = [each for each in folders if os.path.islink(os.path.join(place, each))]  # noqa: PTH114, PTH118
            yield from (os.path.relpath(os.path.join(place, each), folder) for each in (*files, *links))  # noqa: PTH118


def kept_rows(cursor: Any, recorded: RecordedFolders) -> Iterator[Replacement]:
    """What a model that is made anew has to remember of folders that stay as they are."""
    for run_id, _, _ in cursor.execute(_RUNNING_AGAIN).fetchall():
        if (row := recorded.get(("run", run_id))) is not None:
            yield ("mirrors", "subject_id", run_id, [("run", run_id, *dataclasses.astuple(row))])


def _kept(cursor: Any, mirror: Mirror, recorded: RecordedFolders) -> list[Recorded]:
    """Folders of an earlier end of runs that run again."""
    return [
        dataclasses.replace(row, folder=str(mirror.place_of(output_dir, folder).with_name(Path(row.folder).name)))
        for run_id, output_dir, folder in cursor.execute(_RUNNING_AGAIN).fetchall()
        if (row := recorded.get(("run", run_id))) is not None and row.digest is not None
    ]


def _kept_problems(row: Recorded) -> Iterator[Failure]:
    mend = "its run runs again and writes it anew at its end; until then only a copy of the folder mends it"
    folder = Path(row.folder)
    data = _bytes(folder / MANIFEST)
    if hashlib.sha256(data).hexdigest() != row.digest:
        yield Failure(f"{folder / MANIFEST} is not as it was written", mend)
        return
    for file in read_manifest(folder).get("files", []):
        written = Written(**file)
        path = folder / written.path
        if not path.is_file() or hashlib.sha256(_bytes(path)).hexdigest() != written.sha256:
            yield Failure(f"{path} is not as it was written", mend)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
