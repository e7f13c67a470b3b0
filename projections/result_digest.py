"""The Result digest: what a run came to, without what may differ between two executions of the same recipe.

In it are the parameters, the repeat with its seed, and of each stage: result metrics of class ``reproducible``, the
points that were logged of such metrics (every step once, superseded ones left out), predictions with their scores and
texts, artifacts and datasets by digest, and the last checkpoint. Earlier checkpoints are left out because the clock
decides at which steps they are saved; so are ids, times, durations and metrics of class ``timing`` or ``environment``.
Equal digests are promised on one kind of CPU and thread count only.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from crucible.blobs import BlobStore
from crucible.canonical import digest_of
from crucible.errors import UsageError

Parts = Mapping[str, Any]
"""What a run came to, as JSON values."""
EXCLUDED = (
    ("ids", "run, claim and event ids are made anew each time"),
    ("times and durations", "they depend on the clock"),
    ("metrics of class timing or environment", "they depend on where and when it runs"),
    ("metrics that no stage declares", "their class is environment"),
    ("checkpoints but the last of a stage", "the clock decides at which steps they are saved"),
    ("superseded points and predictions", "a later claim repeated that work"),
    ("printed lines, spans and samples", "they are for people"),
)
"""What has no part in the digest, and why."""
_RUN = "SELECT params, repeat, seed, status FROM runs WHERE run_id = ?"
_STAGES = "SELECT stage, status FROM stages WHERE run_id = ? ORDER BY stage_index"
_METRICS = """
SELECT stage, name, value, unit, items, definition FROM result_metrics
WHERE run_id = ? AND kind = 'reproducible' ORDER BY stage, name
"""
_POINTS = """
SELECT m.stage, m.name, m.step, m.value FROM run_metrics m
JOIN runs r ON r.run_id = m.run_id
JOIN metric_declarations d ON d.submission_id = r.submission_id AND d.stage = m.stage AND d.name = m.name
WHERE m.run_id = ? AND d.kind = 'reproducible' ORDER BY m.stage, m.name, m.step, m.time, m.sequence
"""
_PREDICTIONS = """
SELECT stage, split, item_id, score, label, prediction, texts_blob, sequence FROM run_predictions
WHERE run_id = ? ORDER BY stage, split, item_id, time, sequence
"""
_ARTIFACTS = """
SELECT stage, name, kind, digest FROM artifacts WHERE run_id = ? AND is_effective ORDER BY stage, name
"""
_CHECKPOINTS = """
SELECT c.stage, c.step, c.digest FROM stage_sources q
JOIN checkpoints c ON c.run_id = q.source_run_id AND c.stage = q.stage AND c.is_effective
WHERE q.run_id = ? ORDER BY c.stage, c.saved_at, c.step
"""
_DATASETS = """
SELECT DISTINCT stage, name, digest FROM datasets WHERE run_id = ? AND is_effective ORDER BY stage, name, digest
"""


class Reader(Protocol):
    """Whatever answers SQL over the read model."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Sequence[Mapping[str, Any]]:
        """The rows of a SELECT as mappings."""
        ...

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> bytes:
        """The answer as an Arrow IPC stream."""
        ...


def result_digest(reader: Reader, run_id: str, blobs: BlobStore) -> str:
    """The digest of a run's result, 64 hexadecimal digits. Raises as ``result_parts``."""
    return digest_of(result_parts(reader, run_id, blobs))


def result_parts(reader: Reader, run_id: str, blobs: BlobStore) -> Parts:
    """What a run came to. Long texts of predictions are read from ``blobs``.

    Raises ``UsageError`` for a run that there is not, ``BlobError`` if a blob is missing or damaged.
    """
    found = reader.rows(_RUN, [run_id])
    if not found:
        message = f"there is no run {run_id}"
        raise UsageError(message)
    (run,) = found
    stages: dict[str, dict[str, Any]] = {
        row["stage"]: {
            "status": "completed" if row["status"] == "reused" else row["status"],
            "metrics": {},
            "logged": {},
            "predictions": {},
            "artifacts": {},
            "checkpoint": None,
            "datasets": {},
        }
        for row in reader.rows(_STAGES, [run_id])
    }
    for row in reader.rows(_METRICS, [run_id]):
        fields = {name: row[name] for name in ("unit", "items", "definition")}
        stages[row["stage"]]["metrics"][row["name"]] = {"value": _number(row["value"]), **fields}
    for stage, name, logged in _logged(reader, run_id):
        stages[stage]["logged"][name] = logged
    for stage, split, predictions in _predictions(reader, run_id, blobs):
        stages[stage]["predictions"][split] = predictions
    for row in reader.rows(_ARTIFACTS, [run_id]):
        stages[row["stage"]]["artifacts"][row["name"]] = {"kind": row["kind"], "digest": row["digest"]}
    for row in reader.rows(_CHECKPOINTS, [run_id]):
        stages[row["stage"]]["checkpoint"] = {"step": row["step"], "digest": row["digest"]}
    for row in reader.rows(_DATASETS, [run_id]):
        stages[row["stage"]]["datasets"][row["name"]] = row["digest"]
    return {
        "params": json.loads(run["params"]),
        "repeat": run["repeat"],
        "seed": run["seed"],
        "status": run["status"],
        "stages": stages,
    }


def _number(value: float | None) -> float | str | None:
    """A number as JSON has it; NaN and infinity by name."""
    return value if value is None or math.isfinite(value) else repr(value)


def _logged(reader: Reader, run_id: str) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """How many points of each declared metric were logged, and the digest of their steps and values."""
    import numpy as np
    import pyarrow as pa

    table = pa.ipc.open_stream(reader.arrow(_POINTS, [run_id])).read_all()
    keys = list(zip(table["stage"].to_pylist(), table["name"].to_pylist(), strict=True))
    step, value = table["step"].to_numpy(), table["value"].to_numpy()
    bounds = [index for index in range(len(keys) + 1) if index in {0, len(keys)} or keys[index] != keys[index - 1]]
    for start, end in itertools.pairwise(bounds):
        digest = hashlib.sha256(np.ascontiguousarray(step[start:end], "<i8").tobytes())
        digest.update(np.ascontiguousarray(value[start:end], "<f8").tobytes())
        yield (*keys[start], {"points": end - start, "digest": digest.hexdigest()})


def _predictions(reader: Reader, run_id: str, blobs: BlobStore) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """How many predictions there are of each split, and the digest of items, scores, labels, predictions and texts."""
    for (stage, split), items in prediction_items(reader, run_id, blobs).items():
        yield stage, split, {"items": len(items), "digest": digest_of(items)}


def prediction_items(reader: Reader, run_id: str, blobs: BlobStore) -> Mapping[tuple[str, str], list[list[Any]]]:
    """For each stage and split its predictions: item id, score, label, prediction, output. Raises ``BlobError``."""
    texts: dict[str, dict[int, dict[str, Any]]] = {}
    groups: dict[tuple[str, str], list[list[Any]]] = {}
    for row in reader.rows(_PREDICTIONS, [run_id]):
        blob = row["texts_blob"]
        if blob is not None and blob not in texts:
            texts[blob] = dict(_texts(blobs.get_bytes(blob)))
        long = texts[blob].get(row["sequence"], {}) if blob is not None else {}
        label, prediction = (long.get(name, row[name]) for name in ("label", "prediction"))
        item = [row["item_id"], _number(row["score"]), label, prediction, long.get("output")]
        groups.setdefault((row["stage"], row["split"]), []).append(item)
    return groups


def _texts(lines: bytes) -> Iterable[tuple[int, dict[str, Any]]]:
    for line in lines.splitlines():
        text = json.loads(line)
        yield text["sequence"], text
