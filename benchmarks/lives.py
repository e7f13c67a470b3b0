"""Logs to read again: whole lives of runs, record by record as manager and workers write them for ``digits_lora``.

Which records a run has, their order, the fields in them and their sizes were taken from a log of the example; two
runs at a time take turns. Heartbeats and permits are those of a run that takes a quarter of a minute under a limit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crucible.journal import Journal
from crucible.records import (
    ArtifactSaved,
    CheckpointSaved,
    DatasetUsed,
    MetricBatch,
    PermitGranted,
    PermitReleased,
    PredictionBatch,
    RunCompleted,
    RunCreated,
    RunStarted,
    StageClaimed,
    StageCompleted,
    StageHeartbeat,
    StageRequested,
)

if TYPE_CHECKING:
    from crucible.records.record import Record

JOBS = 2
"""Runs that go on at a time: the permits of the limit."""
HEARTBEATS = 3
"""In each stage ``train``: one every five seconds."""
EVENTS_PER_RUN = 15 + HEARTBEATS
POINTS_PER_BATCH = 1_000
ITEMS = 270
"""Items of a split: predictions of a stage."""
START_US = 1_767_225_600_000_000
STEPS_PER_RUN = 400
"""A checkpoint's step."""
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 3e-2)
RANKS = (1, 2, 4, 8, 16)
TRAIN_METRICS: dict[str, tuple[str | None, str | None, str]] = {
    "train/examples_per_second": ("example/s", "higher", "timing"),
    "train/grad_norm": (None, "lower", "reproducible"),
    "train/learning_rate": (None, None, "reproducible"),
    "train/loss": ("nat", "lower", "reproducible"),
    "train/loss_denominator": ("target", None, "reproducible"),
    "val/accuracy": ("ratio", "higher", "reproducible"),
}
LOGGED = tuple(name for name in TRAIN_METRICS if name.startswith("train/"))
DECLARED = {
    "train": {
        name: {"better": better, "kind": kind, "mean_of": None, "range": None, "unit": unit}
        for name, (unit, better, kind) in TRAIN_METRICS.items()
    },
    "eval": {
        "test/accuracy": {
            "better": "higher",
            "kind": "reproducible",
            "mean_of": "test",
            "range": [0, 1],
            "unit": "ratio",
        }
    },
}
OPTIONS = {
    "train": {
        "adapter_options": None,
        "alpha": 32,
        "batch_size": 64,
        "dataset": "digits_rotated",
        "dropout": 0,
        "epochs": 20,
        "schedule": "constant",
        "steps": None,
        "validation_split": "val",
        "warmup_steps": 0,
        "weight_decay": 0,
    },
    "eval": {"batch_size": 256, "dataset": "digits_rotated", "split": "test"},
}
DEFINITION = {
    "adapter": "local",
    "description": "Low-rank adapters teach a frozen network of upright digits to read turned ones",
    "margin": 0.015,
    "name": "digits_lora",
    "parameters": {"train.learning_rate": LEARNING_RATES, "train.rank": RANKS},
    "quality_targets": {"test/accuracy": {"at_least": 0.95, "at_most": None, "unit": None}},
    "repeat": 10,
    "seed": 7,
    "select": "val/accuracy",
    "stages": [
        {"name": name, "type": name, "metrics": DECLARED[name], "options": OPTIONS[name]} for name in ("train", "eval")
    ],
    "tags": ["example", "lora"],
}


def digest(text: str) -> str:
    """A digest as they stand in records."""
    return hashlib.sha256(text.encode()).hexdigest()


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


CODE = digest("code")


@dataclasses.dataclass(frozen=True, slots=True)
class Life:
    """One run of a grid."""

    submission_id: str
    number: int
    index: int
    has_telemetry: bool
    output_dir: str = ""

    @property
    def run_id(self) -> str:
        """As run ids are: the time of submission, the grid index, a hash."""
        tail = digest(f"{self.number}/{self.index}")
        ms = START_US // 1000 + self.number * 60_000
        return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-8{self.index >> 8:03x}-8{self.index & 0xFF:03x}-{tail[:12]}"

    @property
    def params(self) -> dict[str, float]:
        cell = self.index // 10
        return {
            "train.learning_rate": LEARNING_RATES[cell // len(RANKS) % len(LEARNING_RATES)],
            "train.rank": RANKS[cell % len(RANKS)],
        }

    def created(self) -> tuple[type[Record], dict[str, Any]]:
        params = self.params
        label = f"r{params['train.rank']}-lr{params['train.learning_rate']:.0e}"
        return RunCreated, {
            "run_id": self.run_id,
            "submission_id": self.submission_id,
            "namespace": "default",
            "experiment": "digits_lora",
            "ref": f"digits_lora#{self.number}/{label}.{self.index % 10 + 1}",
            "label": label,
            "cell_id": digest(compact(params)),
            "cell_index": self.index // 10,
            "grid_index": self.index,
            "repeat": self.index % 10 + 1,
            "params_json": compact(params),
            "seed": 6_312_396_446_540_860 + self.index % 10,
            "stages": ["train", "eval"],
            "retries_max": [3, 3],
            "limits": ["gpu"],
            "output_dir": self.output_dir,
            "is_smoke": False,
        }

    def request(self, stage: str) -> tuple[type[Record], dict[str, Any]]:
        options = dict(OPTIONS[stage])
        if stage == "train":
            options |= {"learning_rate": self.params["train.learning_rate"], "rank": self.params["train.rank"]}
        inputs = {"adapter": {"digest": digest(self.run_id), "name": "adapter", "stage": "train"}}
        return StageRequested, {
            "run_id": self.run_id,
            "stage": stage,
            "attempt": 1,
            "generation": 1,
            "stage_index": 0 if stage == "train" else 1,
            "stage_type": stage,
            "stage_key": digest(f"{self.run_id}/{stage}"),
            "options_json": compact(options),
            "inputs_json": "{}" if stage == "train" else compact(inputs),
            "metrics_json": compact(DECLARED[stage]),
            "datasets_json": "{}",
            "seed": 6_312_396_446_540_860 + self.index % 10,
            "namespace": "default",
            "queue": "default",
            "adapter": "local",
            "resources_json": "{}",
            "blob_store": None,
            "code_path": "/home/ada/project/digits_lora.py",
            "code_digest": CODE,
            "blobs": [],
            "checkpoint_every_ms": 30_000,
            "is_smoke": False,
        }

    def body(self, journal: Journal) -> Iterator[tuple[type[Record], dict[str, Any]]]:
        """From the permit to the end, with everything a worker appends."""
        run = {"run_id": self.run_id}
        permit = {"limit": "gpu", "holder": self.run_id, "grant": 1}
        yield PermitGranted, {**permit, "capacity": JOBS}
        yield RunStarted, {**run, "generation": 1}
        for stage in ("train", "eval"):
            yield self.request(stage)
            where = {**run, "stage": stage, "attempt": 1, "claim_id": journal.ids.uuid7()}
            worker = "0193e4a0-28c7-7bfc-907f-c4cb19fbe18c"
            yield StageClaimed, {**where, "worker_id": worker, "host": "bench", "lease_ms": 15_000}
            yield DatasetUsed, {**where, **dataset_fields()}
            yield from self.train(where) if stage == "train" else self.evaluate(where)
        yield RunCompleted, {**run, "generation": 1}
        yield PermitReleased, permit

    def train(self, where: dict[str, Any]) -> Iterator[tuple[type[Record], dict[str, Any]]]:
        end = STEPS_PER_RUN * len(LOGGED) if self.has_telemetry else 0
        for beat in range(1, HEARTBEATS + 1):
            step = STEPS_PER_RUN * beat // HEARTBEATS
            yield StageHeartbeat, {**where, "beat": beat, "step": step, "telemetry_end": ends(where, 0, 0)}
        yield from ((MetricBatch, batch) for batch in point_batches(where, end, seed=self.index))
        files = stored_files("adapter.safetensors", self.run_id)
        metadata = {"adapter": "local", "base_digest": CODE, "form": "folder", "options": OPTIONS["train"]}
        saved = {**where, "digest": digest(self.run_id), "files": files}
        marks = ends(where, end, 0)
        yield CheckpointSaved, {**saved, "step": STEPS_PER_RUN, "telemetry_end": marks}
        yield ArtifactSaved, {**saved, "name": "adapter", "kind": "model", "metadata_json": compact(metadata)}
        if self.has_telemetry:
            yield PredictionBatch, predictions(where, "val")
        values = {"val/accuracy": 0.9 + self.index % 7 / 100}
        metrics = [result(name, values.get(name), unit, kind) for name, (unit, _, kind) in TRAIN_METRICS.items()]
        yield StageCompleted, {**where, **completed(metrics, ends(where, end, ITEMS * self.has_telemetry))}

    def evaluate(self, where: dict[str, Any]) -> Iterator[tuple[type[Record], dict[str, Any]]]:
        if self.has_telemetry:
            yield PredictionBatch, predictions(where, "test")
        metrics = [result("test/accuracy", 0.9 + self.index % 11 / 100, "ratio", "reproducible")]
        yield StageCompleted, {**where, **completed(metrics, ends(where, 0, ITEMS * self.has_telemetry))}


def ends(where: dict[str, Any], points: int, others: int) -> dict[str, int]:
    return {f"{where['claim_id']}.m": points, f"{where['claim_id']}.r": others}


def completed(metrics: list[dict[str, Any]], marks: dict[str, int]) -> dict[str, Any]:
    return {"metrics": metrics, "duration_ms": 1098.445083, "is_simulated": False, "telemetry_end": marks}


def result(name: str, value: float | None, unit: str | None, kind: str) -> dict[str, Any]:
    items = ITEMS if value is not None else None
    definition = f"mean_score({name.split('/', maxsplit=1)[0]})" if value is not None else None
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "items": items,
        "origin": "measured",
        "kind": kind,
        "definition": definition,
    }


def dataset_fields() -> dict[str, Any]:
    source = {"quarter_turns": 1, "sha256": digest("digits"), "source": "scikit-learn digits", "split_seed": 0}
    items = {"train": 1258, "val": ITEMS, "test": ITEMS}
    return {"name": "digits_rotated", "digest": digest("turned"), "items": items, "source_json": compact(source)}


def stored_files(path: str, text: str) -> list[dict[str, Any]]:
    """A file that holds ``text``."""
    return [{"path": path, "size_bytes": len(text), "sha256": digest(text)}]


def point_batches(where: dict[str, Any], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """``count`` points of the metrics of a training, in batches as a drain cuts them."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for first in range(0, count, POINTS_PER_BATCH):
        sequence = np.arange(first, min(first + POINTS_PER_BATCH, count))
        yield {
            **where,
            "spool_id": f"{where['claim_id']}.m",
            "first_sequence": first,
            "names": list(LOGGED),
            "name_index": sequence % len(LOGGED),
            "step": sequence // len(LOGGED) + 1,
            "time_us": START_US + sequence * 500,
            "value": rng.random(len(sequence)),
        }


def predictions(where: dict[str, Any], split: str) -> dict[str, Any]:
    rng = random.Random(split)
    labels = [str(rng.randrange(10)) for _ in range(ITEMS)]
    guesses = [label if rng.random() < 0.9 else "0" for label in labels]
    return {
        **where,
        "spool_id": f"{where['claim_id']}.r",
        "first_sequence": 0,
        "split": [split] * ITEMS,
        "item_id": [f"digits/{number}" for number in range(ITEMS)],
        "score": [float(label == guess) for label, guess in zip(labels, guesses, strict=True)],
        "label": labels,
        "prediction": guesses,
        "time_us": [START_US] * ITEMS,
    }
