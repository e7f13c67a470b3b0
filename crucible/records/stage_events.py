"""Events of stages: requests, claims, checkpoints, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crucible.records.record import CellComparison, CellRanking, Record, ResultMetric, StoredFile, record
from crucible.records.recorded_results import DeclaredTest


@record(topic="events", key="run_id")
class StageRequested(Record):
    """An attempt of a stage may be claimed."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    generation: int
    """Generation of the run that the attempt belongs to, from 1."""
    stage_index: int
    """Index of the stage, from 0."""
    stage_type: str
    """What runs: a built-in name, module:function, or command."""
    stage_key: str
    """Digest of everything that decides the result."""
    command: str | None
    """Command line template of an untouched script."""
    options_json: str
    """Resolved options, canonical JSON."""
    inputs_json: str
    """Artifacts by argument name, canonical JSON."""
    metrics_json: str
    """Declared metrics, canonical JSON."""
    datasets_json: str
    """Dataset references, canonical JSON."""
    seed: int
    """Seed of the repeat."""
    namespace: str
    """Namespace (team)."""
    queue: str
    """Queue whose workers may claim it."""
    adapter: str | None
    """Adapter that it needs."""
    resources_json: str
    """Resources that it needs, canonical JSON."""
    code_path: str | None
    """File that defines the experiment."""
    code_digest: str
    """Digest of the project's code."""
    code_blob: str | None
    """Digest of the code bundle."""
    blobs: Sequence[str]
    """Digests of blobs that the worker must be able to read."""
    timeout_ms: int | None
    """Longest duration; null: none."""
    stall_timeout_ms: int | None
    """Longest time without progress; null: none."""
    checkpoint_every_ms: int
    """How often a checkpoint is due."""
    steps_max: int | None
    """Steps at most (smoke test); null: no bound."""
    is_smoke: bool
    """Part of a smoke test."""
    hooks_json: str
    """Hooks of its claims by name, canonical JSON."""
    blob_store: str | None
    """Id of the blob store that the worker must have; null: any."""


@record(topic="events", key="run_id")
class StageClaimed(Record):
    """A worker takes the attempt. Valid iff it is requested and has no live claim."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    worker_id: str
    """The worker."""
    host: str
    """Host name of the worker."""
    lease_ms: int
    """Silence after which the reaper may end the claim."""


@record(topic="events", key="run_id")
class StageResumed(Record):
    """The claim goes on from a checkpoint of an earlier claim."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    checkpoint_event_id: str
    """event_id of the CheckpointSaved."""
    step: int
    """Steps done at that checkpoint."""


@record(topic="events", key="run_id")
class StageHeartbeat(Record):
    """The worker lives; what it has logged so far."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    beat: int
    """Number of the heartbeat, from 1."""
    step: int | None
    """Last step reported."""
    telemetry_end: Mapping[str, int]
    """For each spool of the claim, the next sequence number: what was logged lies below."""


@record(topic="events", key="run_id")
class CheckpointSaved(Record):
    """A durable checkpoint: its files are blobs."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    step: int
    """Steps done."""
    digest: str
    """SHA-256 of the canonical list of (path, size, sha256)."""
    files: Sequence[StoredFile]
    """The files."""
    telemetry_end: Mapping[str, int]
    """For each spool of the claim, the next sequence number: what was logged lies below."""


@record(topic="events", key="run_id")
class ArtifactSaved(Record):
    """A stage's output, kept as blobs."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    name: str
    """Name within the stage."""
    kind: str
    """For example model."""
    digest: str
    """SHA-256 of the canonical list of (path, size, sha256)."""
    files: Sequence[StoredFile]
    """The files."""
    metadata_json: str
    """Canonical JSON."""


@record(topic="events", key="run_id")
class DatasetUsed(Record):
    """A dataset was read as an input."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    name: str
    """Dataset name."""
    digest: str
    """Digest of its content."""
    items: Mapping[str, int]
    """Items in each split."""
    source_json: str
    """Where it came from, canonical JSON."""


@record(topic="events", key="run_id")
class CellsCompared(Record):
    """What an analysis found of the cells of a grid: a part of it, or all. Valid iff the claim is live."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    part: int
    """Number of the part, from 1."""
    parts: int
    """How many parts there are."""
    comparisons: Sequence[CellComparison]
    """Cells compared in pairs."""
    rankings: Sequence[CellRanking]
    """Cells in their order."""


@record(topic="events", key="run_id")
class HypothesesTested(Record):
    """Statistical tests that an analysis has made: a part of them, or all. Valid iff the claim is live."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    part: int
    """Number of the part, from 1."""
    parts: int
    """How many parts there are."""
    tests: Sequence[DeclaredTest]
    """The tests."""


@record(topic="events", key="run_id")
class StageCompleted(Record):
    """The claim ended with a result. Valid iff the claim is live."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    metrics: Sequence[ResultMetric]
    """Result metrics."""
    duration_ms: float | None
    """Time in the child, milliseconds."""
    is_simulated: bool
    """The adapter simulates."""
    telemetry_end: Mapping[str, int]
    """For each spool of the claim, the next sequence number: what was logged lies below."""


@record(topic="events", key="run_id")
class StageFailed(Record):
    """The claim ended with an error."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    error_class: str
    """transient, permanent, timeout, stall, exit, fenced or invalid."""
    error_type: str
    """Exception type or signal name."""
    message: str
    """In one line."""
    traceback_blob: str | None
    """Digest of the traceback text."""
    is_retryable: bool
    """The manager may request another attempt."""
    telemetry_end: Mapping[str, int]
    """For each spool of the claim, the next sequence number: what was logged lies below."""


@record(topic="events", key="run_id")
class StageCanceled(Record):
    """The claim ended because the run is canceled."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    telemetry_end: Mapping[str, int]
    """For each spool of the claim, the next sequence number: what was logged lies below."""


@record(topic="events", key="run_id")
class StageLeaseExpired(Record):
    """Ends a live claim without a result. Valid iff last_event_id is the claim's last record."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    last_event_id: str
    """event_id of the last record of the claim that the writer has read."""
    reason: str
    """silent, gone or released."""


@record(topic="events", key="run_id")
class StageReused(Record):
    """A finished stage with the same key stands for this one."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    stage_key: str
    """Digest of everything that decides the result."""
    from_run_id: str
    """Run that the result came from."""
    from_event_id: str
    """event_id of its StageCompleted."""
    generation: int
    """Generation of the run that the attempt belongs to, from 1."""
    stage_type: str
    """What ran: a built-in name, module:function, or command."""
    options_json: str
    """Resolved options, canonical JSON."""
    metrics: Sequence[ResultMetric]
    """Result metrics."""
    artifacts_json: str
    """The artifacts of the result, each as its ArtifactSaved says, canonical JSON."""
    datasets_json: str
    """The datasets that the result was made from, each as its DatasetUsed says, canonical JSON."""
    is_simulated: bool
    """The adapter simulates."""
    telemetry_json: str
    """What the result logged: JSON, [spool, next sequence] for each spool, oldest claim first; below it all counts."""
