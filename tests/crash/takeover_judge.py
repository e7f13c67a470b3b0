"""What the log must say after kills: as if nothing had happened, but for what is kept as superseded."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

from crucible.blobs import BlobStore, FolderBlobs
from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.records import (
    ArtifactSaved,
    CheckpointSaved,
    DatasetUsed,
    MetricBatch,
    Record,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageLeaseExpired,
    StageResumed,
    WorkerStarted,
)
from crucible.rules.effective import artifacts, checkpoints, windows
from crucible.rules.state import RunState
from crucible.rules.world import World
from crucible.tail import Tail

WRITTEN_UNDER_A_FENCE = (
    StageResumed,
    CheckpointSaved,
    ArtifactSaved,
    DatasetUsed,
    StageCompleted,
    StageFailed,
    StageCanceled,
)
"""What a worker writes only after it has checked its claim. A heartbeat in passing does no harm."""


@dataclasses.dataclass
class Account:
    """What a log says about its runs."""

    runs: dict[str, RunState]
    points: dict[str, dict[tuple[str, int], float]] = dataclasses.field(default_factory=dict)
    """For each run the effective points: (name, step) to value."""
    problems: list[str] = dataclasses.field(default_factory=list)
    fenced_writes: int = 0
    """Records of a claim that was over, which its worker could have known."""
    expired: list[StageLeaseExpired] = dataclasses.field(default_factory=list)
    superseded_points: int = 0
    claims: dict[str, StageClaimed] = dataclasses.field(default_factory=dict)
    worker_pids: dict[str, int] = dataclasses.field(default_factory=dict)


def read_account(place: Place) -> Account:
    """Fold the log of ``place``."""
    journal = open_journal(place, actor="judge")
    try:
        return _account(journal, FolderBlobs(place.blobs))
    finally:
        journal.close()


def _account(journal: Journal, blobs: BlobStore) -> Account:
    world = World()
    account = Account(world.runs)
    ended: dict[str, int] = {}
    for record in _records(journal, "events"):
        void = world.apply(record)
        if isinstance(record, WorkerStarted):
            account.worker_pids[record.worker_id] = record.pid
        if isinstance(record, StageClaimed):
            account.claims[record.claim_id] = record
        if isinstance(record, StageLeaseExpired) and void is None:
            ended[record.claim_id] = record.occurred_at_us
            account.expired.append(record)
        if isinstance(record, WRITTEN_UNDER_A_FENCE) and void is not None and record.claim_id in ended:
            # One clock here: a record made before the claim was ended was checked before too, and is void all the same.
            account.fenced_writes += record.occurred_at_us > ended[record.claim_id]
    batches = collections.defaultdict(list)
    for record in _records(journal, "telemetry"):
        if isinstance(record, MetricBatch):
            batches[record.run_id].append(record)
    for run_id, run in world.runs.items():
        account.points[run_id] = _effective_points(run, batches[run_id], account)
        _check_blobs(run, blobs, account)
    return account


def _records(journal: Journal, topic: str) -> list[Record]:
    return [entry.record for entry in Tail(journal, (topic,)).catch_up() if entry.record is not None]


def _effective_points(run: RunState, batches: list[MetricBatch], account: Account) -> dict[tuple[str, int], float]:
    bounds = windows(run)
    seen: set[tuple[str, int]] = set()
    points: dict[tuple[str, int], float] = {}
    for batch in batches:
        for index, name_index in enumerate(batch.name_index):
            sequence = batch.first_sequence + index
            if (batch.spool_id, sequence) in seen:
                continue
            seen.add((batch.spool_id, sequence))
            end = bounds.get(batch.spool_id, 0)
            if end is not None and sequence >= end:
                account.superseded_points += 1
                continue
            key = (batch.names[name_index], batch.step[index])
            if key in points:
                account.problems.append(f"{run.created.ref}: {key} stands twice among the effective points")
            points[key] = batch.value[index]
    return points


def _check_blobs(run: RunState, blobs: BlobStore, account: Account) -> None:
    for stage in run.stages:
        for saved in [*checkpoints(stage), *artifacts(stage).values()]:
            for file in saved.files:
                try:
                    blobs.verify(file["sha256"])
                except Exception as error:
                    account.problems.append(f"{run.created.ref}: {type(saved).__name__} names a bad blob: {error}")


def compare(account: Account, reference: Account, steps: int) -> list[str]:
    """Everything in which runs differ from the undisturbed run of the same repeat."""
    problems = list(account.problems)
    by_repeat = {run.created.repeat: run for run in reference.runs.values()}
    for run_id, run in account.runs.items():
        ref = run.created.ref
        if run.status != "completed":
            problems.append(f"{ref}: it is {run.status}, not completed")
            continue
        calm = by_repeat[run.created.repeat]
        points = account.points[run_id]
        logged = collections.Counter(step for _, step in points)
        names = {name for name, _ in points}
        wrong = [step for step in range(1, steps + 1) if logged[step] != len(names)]
        if wrong or set(logged) != set(range(1, steps + 1)):
            problems.append(f"{ref}: effective steps are not 1 to {steps}, once each; for example {wrong[:3]}")
        if points != reference.points[calm.run_id]:
            problems.append(f"{ref}: its effective points differ from the undisturbed run's")
        problems += _compare_results(run, calm)
    return problems


def _compare_results(run: RunState, calm: RunState) -> list[str]:
    problems = []
    for stage, other in zip(run.stages, calm.stages, strict=True):
        results = [each.attempts[-1].completed for each in (stage, other)]
        if results[0].metrics != results[1].metrics:
            problems.append(f"{run.created.ref}: results {results[0].metrics} instead of {results[1].metrics}")
        calm_digests = {saved.step: saved.digest for saved in checkpoints(other)}
        for attempt in stage.attempts:
            for claim in attempt.claims:
                for saved in claim.checkpoints:
                    if saved.digest != calm_digests.get(saved.step):
                        problems.append(f"{run.created.ref}: the checkpoint of step {saved.step} has another digest")
        if [saved.step for saved in checkpoints(stage)] != sorted(calm_digests):
            problems.append(f"{run.created.ref}: effective checkpoints differ from the undisturbed run's")
        if {n: a.digest for n, a in artifacts(stage).items()} != {n: a.digest for n, a in artifacts(other).items()}:
            problems.append(f"{run.created.ref}: artifacts differ from the undisturbed run's")
    return problems


def scratch_left(place: Place) -> list[Path]:
    """Folders of claims that nobody has removed."""
    return sorted(place.scratch.iterdir())
