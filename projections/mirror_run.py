"""What a run's folder says: its files line by line, and the manifest that names them all.

Everything comes from the read model and the log, in an order that does not depend on how they were read, so that the
same records give the same bytes. ``render_run`` writes them, or only reckons what they would be.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

from crucible.journal import Journal
from crucible.nonfinite import nonfinite_name
from crucible.projections.mirror_batch import Record, RunBatch
from crucible.projections.mirror_files import Outline, Written, iso
from crucible.projections.mirror_lines import metric_lines, prediction_lines, telemetry_lines
from crucible.projections.mirror_publish import MANIFEST
from crucible.projections.run_rows import safe_name
from crucible.version import VERSION

SCHEMA_VERSION = 1
"""Version of the files in a run's folder."""


def render_run(target: Outline, journal: Journal, batch: RunBatch, number: int, run: Record) -> Written:
    """Put the files of a run into ``target``; the manifest, which comes last. Of a purged run there is nothing else."""
    if run["is_purged"]:
        return target.page(MANIFEST, _purged(batch.records("purges", number), run))
    checkpoints = _checkpoints(batch.records("checkpoints", number), target)
    places = [(partition, offset) for partition, offset in batch.stream("telemetry", number)]
    target.lines("telemetry.jsonl", telemetry_lines(journal, run["run_id"], places))
    target.lines("metrics.jsonl", metric_lines(batch.stream("points", number)))
    target.lines("predictions.jsonl", prediction_lines(batch.stream("items", number)))
    target.lines("checkpoints.jsonl", checkpoints)
    datasets = _datasets(batch.records("datasets", number))
    for dataset in datasets:
        target.page(f"datasets/{safe_name(dataset['name'])}.json", dataset)
    manifest = {
        **_manifest(batch, number, run),
        "checkpoints": [
            {name: saved[name] for name in ("stage", "step", "digest", "folder", "event_id")} for saved in checkpoints
        ],
        "dataset_manifest": datasets,
        "files": [dataclasses.asdict(file) for file in sorted(target.files, key=lambda file: file.path)],
    }
    return target.page(MANIFEST, manifest)


def _checkpoints(records: Sequence[Record], target: Outline) -> list[Record]:
    """The lines of checkpoints, with a folder of their own for each digest, in which their files are put."""
    found: list[Record] = []
    placed: set[str] = set()
    digests: dict[str, str] = {}
    for record in records:
        name = f"checkpoints/{safe_name(record['stage'])}/step-{record['step']:08d}"
        if digests.setdefault(name, record["digest"]) != record["digest"]:
            name = f"{name}-{safe_name(record['digest'])[:12]}"
        files = json.loads(record["files"])
        if name not in placed:
            placed.add(name)
            for file in files:
                target.blob(name, file)
        found.append({**record, "files": files, "saved_at": iso(record["saved_at"]), "folder": name})
    return found


def _datasets(records: Sequence[Record]) -> list[Record]:
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
    return list(found.values())


def _purged(purges: Sequence[Record], run: Record) -> Record:
    """What is left of a purged run's manifest: that there was a run, and why its content is gone."""
    names = ("run_id", "ref", "submission_id", "params", "seed", "status", "generation")
    return {
        **{name: run[name] for name in names},
        "schema_version": SCHEMA_VERSION,
        "crucible_version": VERSION,
        "experiment_id": run["experiment"],
        "params": json.loads(run["params"]),
        "is_purged": True,
        "purged": [
            {"at": iso(purge["occurred_at"]), "reason": purge["reason"], "event_id": purge["event_id"]}
            for purge in purges
        ],
        "files": [],
    }


def _manifest(batch: RunBatch, number: int, run: Record) -> Record:
    submission = batch.submission(run["submission_id"])
    definition = json.loads(submission["definition"]) if submission["definition"] else {}
    environment = json.loads(submission["environment"]) if submission["environment"] else {}
    git = environment.get("git") or {}
    last = batch.records("last_events", number)
    copied = {name: value for name, value in run.items() if name not in {"experiment", "folder", "is_purged"}}
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
            **{name: git.get(name) for name in ("commit", "branch", "is_dirty", "diff_blob")},
            "definition_digest": submission["definition_digest"],
            "recipe_digest": submission["recipe_digest"],
        },
        "environment": environment,
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
