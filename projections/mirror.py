"""Folders of runs and experiments: what people copy, archive and read without a database.

A run's folder is written when the run has ended and all telemetry below its end marks is in the read model; what comes
later goes to the model only. It is made under another name and appears whole. Its manifest names every file beside it
with its digest; a file that would be empty is left out. A folder that is finished for this end of the run is never
touched again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crucible.blobs import BlobStore
from crucible.journal import Journal
from crucible.place import Place
from crucible.projections.mirror_batch import Record, RunBatch
from crucible.projections.mirror_files import (
    Written,
    empty_folder,
    finite,
    iso,
    make_durable,
    nonfinite_name,
    place_blobs,
    publish,
    replace_page,
    sync_names,
    write_lines,
    write_page,
)
from crucible.projections.mirror_lines import metric_lines, prediction_lines, telemetry_lines
from crucible.projections.run_rows import safe_name
from crucible.projections.writer import Replacement
from crucible.version import VERSION

SCHEMA_VERSION = 1
"""Version of the files in a run's folder."""
MANIFEST = "manifest.json"
CONTENT = ("telemetry.jsonl", "metrics.jsonl", "predictions.jsonl", "checkpoints.jsonl", "checkpoints", "datasets")
"""What stands beside the manifest, as far as there is any; other names in the folder are not ours."""
_JUDGED = "* EXCLUDE (submission_id, generation)"


@dataclasses.dataclass(slots=True)
class _Made:
    """What became of a run's folder."""

    run_id: str
    generation: int
    path: str
    new: Path | None = None
    """The folder that was made and has not its name yet; None: there was nothing to do, or it failed."""
    digest: str | None = None
    problem: str | None = None

    def fail(self, error: Exception) -> None:
        """It could not be written."""
        self.new = self.digest = None
        self.problem = f"{type(error).__name__}: {error}"


class Mirror:
    """Writes the folders of runs and experiments. For one thread at a time."""

    def __init__(self, journal: Journal, place: Place) -> None:
        """Relative output folders lie beside the folder of the log."""
        self._journal = journal
        self._blobs = BlobStore(place.blobs)
        self._root = place.root.absolute().parent

    def write_runs(self, cursor: Any, runs: list[tuple[str, int]]) -> list[Replacement]:
        """Write the folders of these runs (id, generation); a folder that can't be written is a row with the reason."""
        made: list[_Made] = []
        with contextlib.closing(RunBatch(cursor, [run_id for run_id, _ in runs])) as batch:
            for number in batch.numbers:
                (run,) = batch.records("runs", number)
                made.append(self._make_run(batch, number, run))
        _publish_all([folder for folder in made if folder.new is not None])
        return [
            (
                "mirrors",
                "subject_id",
                folder.run_id,
                [("run", folder.run_id, folder.generation, folder.path, folder.digest, folder.problem)],
            )
            for folder in made
        ]

    def write_submission(self, cursor: Any, submission_id: str, generation: int) -> list[Replacement]:
        """Write the manifest of a submission's experiment."""
        folder = ""
        digest = problem = None
        try:
            query = "SELECT experiment, output_dir FROM submissions WHERE submission_id = ?"
            experiment, output_dir = cursor.execute(query, [submission_id]).fetchone()
            path = self._root / output_dir / safe_name(experiment)
            folder = str(path)
            path.mkdir(parents=True, exist_ok=True)
            digest = replace_page(path, MANIFEST, _experiment(cursor, experiment, output_dir)).sha256
        except Exception as error:  # noqa: BLE001  whatever its records say, other folders can be written
            problem = f"{type(error).__name__}: {error}"
        row = ("submission", submission_id, generation, folder, digest, problem)
        return [("mirrors", "subject_id", submission_id, [row])]

    def _make_run(self, batch: RunBatch, number: int, run: Record) -> _Made:
        """Make a run's folder beside its place, unless it is finished."""
        path = self._root / run["output_dir"] / run["folder"]
        made = _Made(run["run_id"], run["generation"], str(path))
        try:
            path = _own(path, made.run_id)
            made.path = str(path)
            made.digest = _finished(path, run)
            if made.digest is None:
                new = path.with_name(f".{path.name}.{made.run_id[-12:]}")
                made.digest = self._write_run(batch, number, run, new)
                made.new = new
        except Exception as error:  # noqa: BLE001  whatever its records say, other folders can be written
            made.fail(error)
        return made

    def _write_run(self, batch: RunBatch, number: int, run: Record, new: Path) -> str:
        """Write the files of a run into a new folder; the digest of its manifest."""
        empty_folder(new)
        new.mkdir(parents=True)
        places = [(partition, offset) for partition, offset in batch.stream("telemetry", number)]
        checkpoints, files = self._checkpoints(batch.records("checkpoints", number), new)
        lines = {
            "telemetry.jsonl": telemetry_lines(self._journal, run["run_id"], places),
            "metrics.jsonl": metric_lines(batch.stream("points", number)),
            "predictions.jsonl": prediction_lines(batch.stream("items", number)),
            "checkpoints.jsonl": iter(checkpoints),
        }
        files += [file for name, part in lines.items() if (file := write_lines(new, name, part)) is not None]
        datasets, written = _datasets(batch.records("datasets", number), new)
        files += written
        manifest = {
            **_manifest(batch, number, run),
            "checkpoints": [
                {name: saved[name] for name in ("stage", "step", "digest", "folder", "event_id")}
                for saved in checkpoints
            ],
            "dataset_manifest": datasets,
            "files": [dataclasses.asdict(file) for file in sorted(files, key=lambda file: file.path)],
        }
        return write_page(new, MANIFEST, manifest).sha256

    def _checkpoints(self, records: Sequence[Record], folder: Path) -> tuple[list[Record], list[Written]]:
        """The lines of checkpoints, with a folder of their own for each digest, and the files put there."""
        found: list[Record] = []
        placed: list[Written] = []
        digests: dict[str, str] = {}
        for record in records:
            name = f"checkpoints/{safe_name(record['stage'])}/step-{record['step']:08d}"
            if digests.setdefault(name, record["digest"]) != record["digest"]:
                name = f"{name}-{safe_name(record['digest'])[:12]}"
            files = json.loads(record["files"])
            if name not in {saved["folder"] for saved in found}:
                placed += place_blobs(folder, name, files, self._blobs)
            found.append({**record, "files": files, "saved_at": iso(record["saved_at"]), "folder": name})
        return found, placed


def _publish_all(made: Sequence[_Made]) -> None:
    """Give folders that were made their names, durably."""
    try:
        make_durable(folder.new for folder in made if folder.new is not None)
        for folder in made:
            _publish(folder)
        sync_names(Path(folder.path).parent for folder in made if folder.new is not None)
    except OSError as error:
        for folder in made:
            folder.fail(error)


def _publish(made: _Made) -> None:
    if made.new is None:
        return
    try:
        publish(made.new, Path(made.path), MANIFEST, CONTENT)
    except OSError as error:
        made.fail(error)


def _own(folder: Path, run_id: str) -> Path:
    """The folder, or one beside it if a run of another log has it."""
    other = _read_manifest(folder).get("run_id", run_id)
    return folder if other == run_id else folder.with_name(f"{folder.name}-{run_id[-12:]}")


def _read_manifest(folder: Path) -> Record:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _finished(folder: Path, run: Record) -> str | None:
    """The digest of the manifest if the folder is finished for this end of the run."""
    manifest = _read_manifest(folder)
    wanted = {"schema_version": SCHEMA_VERSION, "run_id": run["run_id"], "generation": run["generation"]}
    if any(manifest.get(name) != value for name, value in wanted.items()):
        return None
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _datasets(records: Sequence[Record], folder: Path) -> tuple[list[Record], list[Written]]:
    if records:
        (folder / "datasets").mkdir()
    found: dict[str, Record] = {}
    for record in records:
        dataset = found.setdefault(
            record["name"],
            {
                "name": record["name"],
                "digest": record["digest"],
                "items": json.loads(record["items"]),
                "source": json.loads(record["source"]),
                "stages": [],
            },
        )
        dataset["stages"] = sorted({*dataset["stages"], record["stage"]})
    datasets = list(found.values())
    return datasets, [write_page(folder, f"datasets/{safe_name(part['name'])}.json", part) for part in datasets]


def _manifest(batch: RunBatch, number: int, run: Record) -> Record:
    submission = batch.submission(run["submission_id"])
    definition = json.loads(submission["definition"]) if submission["definition"] else {}
    last = batch.records("last_events", number)
    copied = {name: value for name, value in run.items() if name not in {"experiment", "folder"}}
    return {
        **copied,
        "schema_version": SCHEMA_VERSION,
        "crucible_version": VERSION,
        "experiment_id": run["experiment"],
        "params": json.loads(run["params"]),
        **{name: iso(run[name]) for name in ("created_at", "started_at", "ended_at")},
        "stages": _stages(batch, number),
        "artifacts": [
            {**record, "files": json.loads(record["files"])} for record in batch.records("artifacts", number)
        ],
        "quality_targets": definition.get("quality_targets") or {},
        "code": {
            "path": submission["code_path"],
            "digest": submission["code_digest"],
            "blob": submission["code_blob"],
            "definition_digest": submission["definition_digest"],
            "recipe_digest": submission["recipe_digest"],
        },
        "environment": json.loads(submission["environment"]) if submission["environment"] else {},
        "positions": {
            "events": last[0]["event_id"] if last else None,
            "telemetry": {spool["spool_id"]: spool["next_sequence"] for spool in batch.records("spools", number)},
        },
    }


def _stages(batch: RunBatch, number: int) -> list[Record]:
    metrics: dict[str, Record] = {}
    for record in batch.records("result_metrics", number):
        fields = {name: value for name, value in record.items() if name not in {"stage", "name"}}
        value = record["value"]
        if value is not None and not math.isfinite(value):
            fields |= {"value": None, "nonfinite": nonfinite_name(value)}
        metrics.setdefault(record["stage"], {})[record["name"]] = fields
    return [
        {
            **record,
            **{name: iso(record[name]) for name in ("requested_at", "started_at", "ended_at")},
            "options": json.loads(record["options"]) if record["options"] else None,
            "metrics": metrics.get(record["stage"], {}),
        }
        for record in batch.records("stages", number)
    ]


def _experiment(cursor: Any, experiment: str, output_dir: str) -> Record:
    """The manifest of an experiment's folder: every submission that writes there and is closed."""
    submissions = []
    for row in _rows(
        cursor,
        "SELECT submission_id, number, status, generation, run_count, definition_digest, recipe_digest, submitted_at, "
        "closed_at FROM submissions WHERE experiment = ? AND output_dir = ? AND closed_at IS NOT NULL ORDER BY number",
        experiment,
        output_dir,
    ):
        submission_id = row["submission_id"]
        tables = {
            "runs": "SELECT run_id, ref, folder, status FROM runs WHERE submission_id = ? ORDER BY grid_index",
            "verdicts": f"SELECT {_JUDGED} FROM verdicts WHERE submission_id = ? ORDER BY ALL",
            "findings": f"SELECT {_JUDGED} FROM findings WHERE submission_id = ? ORDER BY number",
        }
        times = {name: iso(row[name]) for name in ("submitted_at", "closed_at")}
        parts = {name: [_plain(part) for part in _rows(cursor, query, submission_id)] for name, query in tables.items()}
        submissions.append({**row, **times, **parts})
    return {
        "schema_version": SCHEMA_VERSION,
        "crucible_version": VERSION,
        "experiment_id": experiment,
        "output_dir": output_dir,
        "submissions": submissions,
    }


def _plain(row: Record) -> Record:
    return {name: finite(value) if isinstance(value, float) else value for name, value in row.items()}


def _rows(cursor: Any, query: str, *parameters: object) -> list[Record]:
    cursor.execute(query, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
