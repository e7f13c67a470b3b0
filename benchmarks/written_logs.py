"""Logs to read again, written as fast as records can be appended: whole submissions, or points alone."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.lives import CODE, DEFINITION, JOBS, Life, compact, digest, point_batches
from crucible.blobs import FolderBlobs
from crucible.journal import Journal
from crucible.place import Place
from crucible.records import (
    CommandAccepted,
    MetricBatch,
    RunStarted,
    StageClaimed,
    SubmissionAccepted,
    SubmissionClosed,
    SubmitExperiment,
)
from crucible.records.record import HEADER_NAMES, Record
from crucible.records.schema import latest_schema

GRID = 200
"""Runs of a submission."""
BATCHES_PER_APPEND = 200
"""Batches that are written with one fsync."""


@functools.cache
def defaults(record_type: type[Record]) -> dict[str, Any]:
    """What the schema says of the fields of a record that a life has nothing to say about."""
    fields = latest_schema(record_type.__name__).tree["fields"]
    return {field["name"]: field["default"] for field in fields if field["name"] not in HEADER_NAMES}


class Appends:
    """Gathers records as batches of one each, and appends many at once."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._waiting: list[Sequence[Record]] = []

    def add(self, made: Iterable[tuple[type[Record], dict[str, Any]]]) -> None:
        for record_type, fields in made:
            causes = {} if record_type.TOPIC == "telemetry" else {"causation": self.cause}
            self._waiting.append([self.journal.make(record_type, **causes, **{**defaults(record_type), **fields})])
            if len(self._waiting) >= BATCHES_PER_APPEND:
                self.flush()

    cause: Record | None = None
    """What the records of a submission were caused by."""

    def flush(self) -> None:
        self.journal.append_batches(self._waiting)
        self._waiting = []


def write_lives(journal: Journal, place: Place, runs: int, *, has_telemetry: bool) -> None:
    """Whole submissions one after the other, with ``runs`` runs in all, and the blobs that their records name."""
    appends, output_dir, blobs = Appends(journal), str(place.root.parent / "artifacts"), FolderBlobs(place.blobs)
    for number, first in enumerate(range(0, runs, GRID), start=1):
        count = min(GRID, runs - first)
        accepted = submission(appends, number, count, output_dir)
        lives = [Life(accepted["submission_id"], number, index, has_telemetry, output_dir) for index in range(count)]
        blobs.put_many([life.run_id.encode() for life in lives])
        appends.add(life.created() for life in lives)
        for turn in range(0, count, JOBS):
            bodies = [life.body(journal) for life in lives[turn : turn + JOBS]]
            appends.add(part for parts in itertools.zip_longest(*bodies) for part in parts if part is not None)
        ended = {"generation": 1, "completed": count, "failed": 0, "canceled": 0}
        where = {name: accepted[name] for name in ("submission_id", "experiment")}
        appends.add([(SubmissionClosed, {**where, **ended})])
    appends.flush()


def submission_fields(definition: Mapping[str, Any], submission_id: str, output_dir: str) -> dict[str, Any]:
    """The fields of a submission of ``digits_lora``."""
    text = compact(definition)
    return {
        "submission_id": submission_id,
        "namespace": "default",
        "experiment": "digits_lora",
        "definition_json": text,
        "definition_digest": digest(text),
        "recipe_digest": CODE,
        "code_path": "/home/ada/project/digits_lora.py",
        "code_digest": CODE,
        "code_blob": None,
        "environment_json": "{}",
        "output_dir": output_dir,
        "is_smoke": False,
    }


def submission(appends: Appends, number: int, count: int, output_dir: str) -> dict[str, Any]:
    """Put a submission and its answer on the log; the fields of its acceptance."""
    fields = submission_fields(DEFINITION, appends.journal.ids.uuid7(), output_dir)
    command = appends.journal.make(SubmitExperiment, **{**defaults(SubmitExperiment), **fields})
    appends.flush()
    appends.journal.append(command)
    appends.cause = command
    answer = {"command_id": command.event_id, "command_type": "SubmitExperiment", "subject_id": "digits_lora"}
    accepted = {**fields, "number": number, "run_count": count}
    appends.add([(CommandAccepted, answer), (SubmissionAccepted, accepted)])
    return accepted


def write_points(journal: Journal, points: int, runs: int = 50) -> None:
    """``points`` points of ``runs`` runs whose first stage goes on, four of them by turns."""
    appends = Appends(journal)
    accepted = submission(appends, 1, runs, "artifacts")
    begun = [
        begin_stage(appends, Life(accepted["submission_id"], 1, index, has_telemetry=True)) for index in range(runs)
    ]
    for first in range(0, runs, 4):
        sources = [point_batches(where, points // runs, seed) for seed, where in enumerate(begun[first : first + 4])]
        turns = itertools.zip_longest(*sources)
        appends.add((MetricBatch, batch) for batches in turns for batch in batches if batch is not None)
    appends.flush()


def begin_stage(appends: Appends, life: Life) -> dict[str, Any]:
    """A run with a live claim, so that its points count; where they belong."""
    where = {"run_id": life.run_id, "stage": "train", "attempt": 1, "claim_id": appends.journal.ids.uuid7()}
    worker = {"worker_id": "w", "host": "bench", "lease_ms": 15_000}
    started = (RunStarted, {"run_id": life.run_id, "generation": 1})
    appends.add([life.created(), started, life.request("train"), (StageClaimed, {**where, **worker})])
    return where
