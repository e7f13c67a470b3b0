"""What a stage is told, and the two doors through which it speaks: telemetry and services.

A worker's child, an attached script, a plain script and a test each bring doors of their own; `crucible.run.Run` is
the same behind all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, SupportsFloat

from crucible.finished_runs import FinishedGrid
from crucible.records.record import CellComparison, CellRanking, StoredFile
from crucible.records.recorded_results import DeclaredTest
from crucible.scope import RUN_SCOPE
from crucible.spool.layout import SPOOL_BYTES_MAX

SCRIPT_TYPE = "script"
"""Type of the stage that a plain script is: no worker runs it, the script claims it itself."""
HOOK_FIELDS = ("attempt", "claim_id", "experiment", "hook", "label", "ref", "repeat", "run_id", "seed", "stage")
"""What a hook's command may name in braces, and finds in its environment as ``CRUCIBLE_RUN_ID`` and so on."""
ERROR_FIELDS = ("error_class", "error_type", "error_message")
"""What the command of ``on_error`` may name as well."""
HOOK_TYPE = "hook"
"""Type of the stage that a hook before or after an experiment is: all that it does is to call the hook."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StageCall:
    """One claim of one attempt of a stage, as plain values."""

    run_id: str
    ref: str
    """What people write for the run."""
    experiment: str
    label: str
    """Shortest unique abbreviation of the varied parameters."""
    repeat: int
    """Repeat of the cell, from 1."""
    params: Mapping[str, Any]
    """Parameters of the cell."""
    stage: str
    attempt: int
    """From 1."""
    claim_id: str
    seed: int
    """Seed of the repeat."""
    stage_type: str
    """A built-in name, ``module:function``, or ``command``."""
    command: str | None
    """Command line template of an untouched script."""
    options: Mapping[str, Any]
    """Resolved options."""
    inputs: Mapping[str, Mapping[str, Any]]
    """For each argument the saved artifact: name, kind, digest, files, metadata."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Declared metrics: unit, better, range, kind, mean_of."""
    datasets: Mapping[str, Mapping[str, Any]]
    """Dataset references by name."""
    adapter: str | None
    code_path: str | None
    """File that defines the experiment."""
    code_digest: str
    checkpoint_every_ms: int
    """How often a checkpoint is due; 0: at every step."""
    steps_max: int | None
    """Steps at most (smoke test)."""
    is_smoke: bool
    scratch: str
    """The only folder that this claim writes to."""
    spool: str
    """Folder of the claim's telemetry."""
    blobs: str
    """Folder of the blobs; empty: they are elsewhere, and the worker is asked for them."""
    kept: str
    """Folder for the names of what is made once per log."""
    scope: str = RUN_SCOPE
    """run: a step of one run; experiment: done once for the whole grid."""
    spool_bytes_max: int = SPOOL_BYTES_MAX
    """Most bytes of telemetry of one process that wait for the log."""
    hooks: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    """For each hook of this claim: function, command, on_failure, timeout_s."""
    failure: Mapping[str, str] | None = None
    """How the stage failed in another process (error_class, error_type, message): only ``on_error`` is called."""

    def to_message(self) -> dict[str, Any]:
        """The call as JSON values."""
        return {name: getattr(self, name) for name in _CALL_FIELDS}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """The call that ``to_message`` wrote."""
        return cls(**{name: message[name] for name in _CALL_FIELDS})


_CALL_FIELDS = tuple(field.name for field in dataclasses.fields(StageCall))


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved state of an earlier claim, materialised for this one."""

    step: int
    """Steps done."""
    path: Path
    """Folder with a copy of its files."""
    digest: str
    """SHA-256 of the canonical list of (path, size, sha256)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Artifact:
    """What a stage made or gets as input."""

    name: str
    kind: str
    path: Path
    """The file, or the folder of an artifact of several files."""
    digest: str
    """SHA-256 of the canonical list of (path, size, sha256)."""
    files: Sequence[StoredFile]
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __fspath__(self) -> str:
        """The path: an artifact can be given to ``open``."""
        return str(self.path)


@dataclasses.dataclass(frozen=True, slots=True)
class EarlierCheckpoint:
    """A checkpoint that may be resumed from, before its files are copied."""

    event_id: str
    """event_id of its CheckpointSaved."""
    step: int
    digest: str
    files: Sequence[StoredFile]


ScoredItem = tuple[str, float | None]
"""An item's id and its score."""


class Telemetry(Protocol):
    """Where a stage's measurements go (`crucible.spool.writer.SpoolWriter`). Nothing here waits for a log."""

    def log(self, values: Mapping[str, SupportsFloat], step: int | None = None, time_us: int | None = None) -> None:
        """Keep one point for each name; step None: none, time None: now. Raises ``SpoolError``."""
        ...

    def prediction(
        self,
        item_id: object,
        *,
        split: str = "",
        prediction: object = None,
        score: SupportsFloat | None = None,
        label: object = None,
        output: object = None,
        is_simulated: bool = False,
        time_us: int | None = None,
    ) -> None:
        """Keep one scored item."""
        ...

    def span(
        self,
        name: str,
        *,
        span_id: str,
        start_us: int,
        end_us: int,
        parent_span_id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep one timed piece of work."""
        ...

    def mark(self) -> dict[str, int]:
        """For each channel the next sequence: everything kept so far lies below."""
        ...

    def close(self) -> None:
        """Keep nothing more."""
        ...


class Services(Protocol):
    """What a stage asks others to do: each call returns once the record that it leads to is durable.

    Raises ``FencedError`` when the claim has ended, ``StorageError`` when a file can't be kept.
    """

    def earlier_checkpoints(self) -> Sequence[EarlierCheckpoint]:
        """Checkpoints that this claim may resume from, newest first."""
        ...

    def resume_from(self, checkpoint: EarlierCheckpoint) -> Mapping[str, Sequence[ScoredItem]]:
        """Record that the stage goes on from there; returns the scored items that count up to it, by split, in order.

        Only splits whose mean score the stage declares are returned.
        """
        ...

    def save_checkpoint(self, step: int, folder: Path, mark: Mapping[str, int]) -> str:
        """Keep the folder's files as a checkpoint; returns its digest. The folder is the service's from then on."""
        ...

    def save_artifact(
        self, name: str, kind: str, source: Path, metadata: Mapping[str, Any], *, is_given_away: bool
    ) -> tuple[str, Sequence[StoredFile]]:
        """Keep a file or folder as an artifact; returns its digest and files."""
        ...

    def fetch_blob(self, digest: str, *, is_verified: bool) -> Path:
        """A file with the content of a blob, to be read at once; with ``is_verified`` it is compared first."""
        ...

    def keep_blob(self, path: Path) -> str:
        """Keep the content of a file of this claim's own folder as a blob; returns its digest."""
        ...

    def finished_grid(self) -> FinishedGrid:
        """The runs of the grid as they ended, and the metrics that they declare; for a stage of scope experiment."""
        ...

    def item_scores(self, name: str) -> Mapping[str, Mapping[str, float]]:
        """For each run of the grid, the scores by item id: of a metric that is their mean, or of a split.

        Raises ``UsageError`` for a name that is neither.
        """
        ...

    def save_tests(self, tests: Sequence[DeclaredTest]) -> None:
        """Record statistical tests."""
        ...

    def save_comparisons(self, comparisons: Sequence[CellComparison], rankings: Sequence[CellRanking]) -> None:
        """Record what an analysis found of the cells of the grid."""
        ...

    def request_report(self, formats: Sequence[str]) -> str:
        """Ask for a report of the submission at its end; returns the report's id."""
        ...

    def use_dataset(self, name: str, digest: str, items: Mapping[str, int], source: Mapping[str, Any]) -> None:
        """Record a dataset as an input. Raises ``DatasetError`` if the run has read other content of that name."""
        ...
