"""Folders of runs and experiments: what people copy, archive and read without a database.

A run's folder is written when the run has ended and all telemetry below its end marks is in the read model; what comes
later goes to the model only. It is made under another name and appears whole, in place of that of an earlier end. Its
manifest names every file beside it with its digest; a file that would be empty is left out. A folder that is finished
for this end of the run is never touched again, unless a file of it is missing or changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import open_blobs
from crucible.journal import Journal
from crucible.place import Place
from crucible.projections.mirror_batch import Record, RunBatch
from crucible.projections.mirror_experiment import experiment_manifest
from crucible.projections.mirror_files import (
    NewFolder,
    Outline,
    Written,
    make_durable,
    page_bytes,
    replace_page,
    sync_names,
)
from crucible.projections.mirror_publish import MANIFEST, publish, publishing, recover
from crucible.projections.mirror_run import SCHEMA_VERSION, render_run
from crucible.projections.run_rows import safe_name
from crucible.projections.writer import Replacement


@dataclasses.dataclass(slots=True)
class _Made:
    """What became of a run's folder."""

    run_id: str
    generation: int
    path: Path
    new: Path | None = None
    """The folder that was made and has not its name yet; None: there was nothing to do, or it failed."""
    digest: str | None = None
    problem: str | None = None

    def fail(self, error: Exception) -> None:
        """It could not be written."""
        self.new = self.digest = None
        self.problem = f"{type(error).__name__}: {error}"

    @property
    def row(self) -> Replacement:
        """What is committed of it."""
        row = ("run", self.run_id, self.generation, str(self.path), self.digest, self.problem)
        return ("mirrors", "subject_id", self.run_id, [row])


@dataclasses.dataclass(frozen=True, slots=True)
class Expected:
    """A folder as the log gives it."""

    subject_kind: str
    """run or submission"""
    subject_id: str
    generation: int
    folder: Path
    files: Sequence[Written]
    """Every file, the manifest last."""
    ends: Mapping[str, int]
    """The runs or submissions that it tells of, with the generation of each."""

    @property
    def row(self) -> Replacement:
        """What is committed of a folder that is as it should be."""
        digest = self.files[-1].sha256
        row = (self.subject_kind, self.subject_id, self.generation, str(self.folder), digest, None)
        return ("mirrors", "subject_id", self.subject_id, [row])


class Mirror:
    """Writes the folders of runs and experiments. For one thread at a time."""

    def __init__(self, journal: Journal, place: Place) -> None:
        """Relative output folders lie beside the folder of the log."""
        self._journal = journal
        self._place = place
        self._blobs = open_blobs(place)
        self._root = place.home

    def write_runs(self, cursor: Any, runs: Sequence[tuple[str, int]], *, is_anew: bool = False) -> list[Replacement]:
        """Write the folders of these runs (id, generation); a folder that can't be written is a row with the reason.

        With ``is_anew`` a finished folder is written again, unless a newer end of the run has one there by now.
        """
        made: list[_Made] = []
        with contextlib.closing(RunBatch(cursor, [run_id for run_id, _ in runs])) as batch, publishing(self._place):
            for number in batch.numbers:
                (run,) = batch.records("runs", number)
                made.append(self._make_run(batch, number, run, is_anew=is_anew))
            _publish_all([folder for folder in made if folder.new is not None])
        return [folder.row for folder in made]

    def write_submission(self, cursor: Any, submission_id: str, generation: int) -> list[Replacement]:
        """Write the manifest of a submission's experiment."""
        folder = digest = problem = None
        try:
            query = "SELECT experiment, output_dir FROM submissions WHERE submission_id = ?"
            folder, name, data = self._manifest(cursor, *cursor.execute(query, [submission_id]).fetchone())
            digest = hashlib.sha256(data).hexdigest()
            folder.mkdir(parents=True, exist_ok=True)
            with publishing(self._place):
                replace_page(folder, name, data)
        except Exception as error:  # noqa: BLE001  whatever its records say, other folders can be written
            digest, problem = None, f"{type(error).__name__}: {error}"
        row = ("submission", submission_id, generation, str(folder or ""), digest, problem)
        return [("mirrors", "subject_id", submission_id, [row])]

    def expected_runs(
        self, cursor: Any, runs: Sequence[tuple[str, int]], recorded: Mapping[str, str]
    ) -> list[Expected]:
        """What the folders of these runs (id, generation) hold when they are as they should be.

        ``recorded``: where a model says that they are, by run id.
        """
        found = []
        with contextlib.closing(RunBatch(cursor, [run_id for run_id, _ in runs])) as batch:
            for number in batch.numbers:
                (run,) = batch.records("runs", number)
                outline = Outline()
                render_run(outline, self._journal, batch, number, run)
                folder = self._folder(run, recorded.get(run["run_id"]))
                ends = {run["run_id"]: run["generation"]}
                found.append(Expected("run", run["run_id"], run["generation"], folder, outline.files, ends))
        return found

    def expected_submissions(
        self, cursor: Any, experiment: str, output_dir: str, submissions: Sequence[tuple[str, int]]
    ) -> list[Expected]:
        """What an experiment's folder has to hold, for each of its submissions (id, generation)."""
        folder, name, data = self._manifest(cursor, experiment, output_dir)
        manifest = Written(name, len(data), hashlib.sha256(data).hexdigest())
        ends = {part["submission_id"]: part["generation"] for part in json.loads(data)["submissions"]}
        return [
            Expected("submission", submission_id, generation, folder, [manifest], ends)
            for submission_id, generation in submissions
        ]

    def place_of(self, output_dir: str, folder: str) -> Path:
        """Where a run's folder lies, unless a run of another log was there first."""
        return self._root / output_dir / folder

    def _manifest(self, cursor: Any, experiment: str, output_dir: str) -> tuple[Path, str, bytes]:
        """The folder of an experiment, its manifest, and the name of that file: another if another log has the name."""
        log_id = self._journal.log_id
        folder = self._root / output_dir / safe_name(experiment)
        beside = f"manifest-{log_id[-12:]}.json"
        is_taken = read_manifest(folder).get("log_id", log_id) != log_id or (folder / beside).exists()
        data = page_bytes({**experiment_manifest(cursor, experiment, output_dir), "log_id": log_id})
        return folder, beside if is_taken else MANIFEST, data

    def _folder(self, run: Record, recorded: str | None = None) -> Path:
        """The run's folder, or one beside it if a run of another log has it."""
        folder = self.place_of(run["output_dir"], run["folder"])
        beside = folder.with_name(f"{folder.name}-{run['run_id'][-12:]}")
        if recorded == str(beside):
            return beside
        if recorded == str(folder):
            return folder
        other = read_manifest(folder).get("run_id", run["run_id"])
        return folder if other == run["run_id"] else beside

    def _make_run(self, batch: RunBatch, number: int, run: Record, *, is_anew: bool) -> _Made:
        """Make a run's folder beside its place, unless it is finished."""
        made = _Made(run["run_id"], run["generation"], self.place_of(run["output_dir"], run["folder"]))
        try:
            made.path = self._folder(run)
            new = made.path.with_name(f".{made.path.name}.{made.run_id[-12:]}")
            recover(new, made.path)
            ends = {spool["spool_id"]: spool["next_sequence"] for spool in batch.records("spools", number)}
            made.digest = _finished(made.path, run, ends, is_anew=is_anew)
            if made.digest is None:
                target = NewFolder(new, self._blobs)
                made.digest = render_run(target, self._journal, batch, number, run).sha256
                made.new = new
        except Exception as error:  # noqa: BLE001  whatever its records say, other folders can be written
            made.fail(error)
        return made


def _publish_all(made: Sequence[_Made]) -> None:
    """Give folders that were made their names, durably."""
    try:
        make_durable(folder.new for folder in made if folder.new is not None)
        for folder in made:
            _publish(folder)
        sync_names(folder.path.parent for folder in made if folder.new is not None)
    except OSError as error:
        for folder in made:
            folder.fail(error)


def _publish(made: _Made) -> None:
    if made.new is None:
        return
    try:
        publish(made.new, made.path)
    except OSError as error:
        made.fail(error)


def read_manifest(folder: Path, name: str = MANIFEST) -> Record:
    """The manifest in a folder; empty if there is none that can be read."""
    try:
        manifest = json.loads((folder / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _finished(folder: Path, run: Record, ends: Mapping[str, int], *, is_anew: bool) -> str | None:
    """The digest of the manifest if the folder is finished for this end of the run: every file is there, as it was.

    ``ends`` is how far the run's spools were read: of a run with dead letters more may have come since.
    """
    manifest = read_manifest(folder)
    wanted = {"schema_version": SCHEMA_VERSION, "run_id": run["run_id"]}
    is_purged = bool(manifest.get("is_purged"))
    if is_purged != run["is_purged"] or any(manifest.get(name) != value for name, value in wanted.items()):
        return None
    generation = manifest.get("generation")
    if generation != run["generation"] and not (is_anew and _is_newer(generation, run["generation"])):
        return None
    if generation == run["generation"] and (is_anew or not _is_whole(folder, manifest, ends)):
        return None
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _is_newer(generation: object, than: int) -> bool:
    return isinstance(generation, int) and generation > than


def _is_whole(folder: Path, manifest: Record, ends: Mapping[str, int]) -> bool:
    """Whether every file that the manifest names is there as it was; of linked blobs the size is enough."""
    try:
        if not manifest.get("is_purged") and manifest["positions"]["telemetry"] != ends:
            return False
        for file in manifest["files"]:
            path = folder / file["path"]
            if path.stat().st_size != file["size_bytes"]:
                return False
            if not file["path"].startswith("checkpoints/"):
                with path.open("rb") as opened:
                    if hashlib.file_digest(opened, "sha256").hexdigest() != file["sha256"]:
                        return False
    except (OSError, KeyError, TypeError):
        return False
    return True
