"""What events add up to: the state of runs, submissions, limits, workers, marks and labels.

States are frozen; `changed` makes the next one. They keep their fields in ``__dict__`` because copying one dictionary
is several times faster than `dataclasses.replace`, and a fold does it for every event.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from crucible.records.hook_events import HookCompleted, HookFailed
from crucible.records.limit_events import BreakerOpened, BudgetExceeded
from crucible.records.log_events import LogArchived, LogCreated, MarkSet, WorkerStarted, WorkerStopped
from crucible.records.run_events import AnalysisRequested, RunCreated, RunStarted, SubmissionAccepted, SubmissionClosed
from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    HypothesesTested,
    StageCompleted,
    StageFailed,
    StageRequested,
    StageReused,
)
from crucible.rules.bucket_map import BucketMap

ClaimStatus = Literal["live", "completed", "failed", "canceled", "expired", "released"]
AttemptStatus = Literal["requested", "running", "completed", "failed", "canceled", "reused"]
StageStatus = Literal["waiting", "requested", "running", "completed", "failed", "canceled", "reused"]
RunStatus = Literal["pending", "running", "completed", "failed", "canceled"]

TERMINAL_STATUSES = frozenset({"completed", "failed", "canceled"})
"""Statuses of a run that has ended."""
DONE_STATUSES = frozenset({"completed", "reused"})
"""Statuses of a stage whose result stands."""

S = TypeVar("S")
_new = object.__new__
_set = object.__setattr__


def changed(state: S, **changes: Any) -> S:
    """A copy of a state with some fields changed."""
    copy = _new(type(state))
    _set(copy, "__dict__", state.__dict__ | changes)
    return copy


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClaimState:
    """A worker's hold on an attempt."""

    claim_id: str
    stage: str
    attempt: int
    worker_id: str
    host: str
    lease_ms: int
    claimed_event_id: str
    last_event_id: str
    """event_id of the claim's last record: what a lease's end has to name."""
    last_us: int = 0
    """When the worker wrote that record, by its own clock; shown and added up, never decided by."""
    work_us: int = 0
    """Microseconds from the claim to its last record, by the worker's clock; between two records a lease at most."""
    status: ClaimStatus = "live"
    resumed_from: str | None = None
    """event_id of the CheckpointSaved that the claim goes on from."""
    checkpoints: tuple[CheckpointSaved, ...] = ()
    artifacts_at: tuple[int, ...] = ()
    """For each checkpoint, how many artifacts the claim had saved before it."""
    artifacts: tuple[ArtifactSaved, ...] = ()
    datasets: tuple[DatasetUsed, ...] = ()
    hooks: tuple[HookCompleted | HookFailed, ...] = ()
    comparisons: tuple[CellsCompared, ...] = ()
    """What it found of the cells of a grid."""
    tests: tuple[HypothesesTested, ...] = ()
    """The statistical tests that it has made."""
    beat: int = 0
    """Number of the last heartbeat."""
    step: int | None = None
    """Last step reported."""
    telemetry_end: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """For each spool, the next sequence number as last reported."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttemptState:
    """One try at a stage; it may be claimed again after a lease has ended."""

    number: int
    status: AttemptStatus
    generation: int
    request: StageRequested | None = None
    claims: tuple[ClaimState, ...] = ()
    """In the order of the log; only the last one can be live."""
    failure: StageFailed | None = None
    completed: StageCompleted | None = None
    reused: StageReused | None = None

    @property
    def live_claim(self) -> ClaimState | None:
        """The claim that holds the attempt."""
        if self.claims and self.claims[-1].status == "live":
            return self.claims[-1]
        return None

    @property
    def lost_claims(self) -> int:
        """How many claims ended in silence or with their worker."""
        return sum(claim.status == "expired" for claim in self.claims)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageState:
    """A stage of a run and every attempt at it."""

    name: str
    index: int
    attempts: tuple[AttemptState, ...] = ()
    """Over all generations of the run."""
    attempts_before: int = 0
    """Attempts of earlier generations in which the stage is to be run anew."""
    attempts_void: int = 0
    """Attempts whose checkpoints may not be resumed: the stage completed since, or its inputs are made anew."""

    @property
    def current(self) -> AttemptState | None:
        """The newest attempt that counts in this generation."""
        return self.attempts[-1] if len(self.attempts) > self.attempts_before else None

    @property
    def status(self) -> StageStatus:
        """Where the stage stands in this generation of the run."""
        return self.attempts[-1].status if len(self.attempts) > self.attempts_before else "waiting"

    @property
    def retries(self) -> int:
        """Attempts of this generation after its first one."""
        return max(0, len(self.attempts) - self.attempts_before - 1)

    @property
    def is_done(self) -> bool:
        """The stage has a result that stands."""
        return self.status in DONE_STATUSES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answered:
    """Commands that a key's aggregate has answered, and the effects that it has seen."""

    answered: frozenset[str] = frozenset()
    """event_ids of commands that have their one answer."""
    accepted: frozenset[str] = frozenset()
    """Those of them that were accepted."""
    effects: frozenset[str] = frozenset()
    """event_ids of events of which a repeat could not be told by the state alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunState(Answered):
    """A run: one cell of a grid, one repeat."""

    created: RunCreated
    stages: tuple[StageState, ...]
    status: RunStatus = "pending"
    generation: int = 1
    started: RunStarted | None = None
    """The start of this generation."""
    starts: int = 0
    """How often the run has started, over all generations."""
    opened_by: str
    """event_id of the RunCreated or RunReopened that this generation began with."""
    cancel_reason: str | None = None
    """Why the run is to stop, once that is asked for in this generation."""
    cancel_event_id: str | None = None
    """event_id of the RunCancelRequested of this generation."""
    end_reason: str | None = None
    """Why the run failed or was canceled."""
    tags: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    purged: bool = False

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.created.run_id

    @property
    def is_terminal(self) -> bool:
        """The run has ended in this generation."""
        return self.status in TERMINAL_STATUSES

    @property
    def current_stage(self) -> StageState | None:
        """The first stage without a result; None if all have one."""
        for stage in self.stages:
            if stage.status not in DONE_STATUSES:
                return stage
        return None

    @property
    def live_claim(self) -> ClaimState | None:
        """The claim that holds an attempt of the run; there is one at most."""
        stage = self.current_stage
        attempt = stage.current if stage is not None else None
        return attempt.live_claim if attempt is not None else None

    def stage(self, name: str) -> StageState | None:
        """The stage of this name, None if the run has none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionState:
    """A grid of runs as its experiment's key knows it."""

    accepted: SubmissionAccepted
    closed: SubmissionClosed | None = None
    """The end of this generation."""
    generation: int = 1
    cancel_reason: str | None = None
    cancel_event_id: str | None = None
    """event_id of the SubmissionCancelRequested."""
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Limits of the budget that were changed, by kind."""
    analyses: tuple[AnalysisRequested, ...] = ()
    """What was asked of the grid after its end, in the order of the log: the first one is number 1."""
    stops: tuple[BudgetExceeded | BreakerOpened, ...] = ()
    """What stops this generation."""
    lifted: frozenset[str] = frozenset()
    """event_ids of what stopped it and does no more."""
    tags: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def submission_id(self) -> str:
        """The submission's id."""
        return self.accepted.submission_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentState(Answered):
    """An experiment: the submissions under its name."""

    name: str
    submissions: Mapping[str, SubmissionState] = dataclasses.field(default_factory=dict)
    number_last: int = 0
    """Highest number of a submission."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelState(Answered):
    """Tags and notes of a key that is no run: a submission, or something that does not exist."""

    subject_id: str
    tags: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitState:
    """Who holds a limit. A grant is numbered by the generation of the run that holds it."""

    limit: str
    holders: BucketMap = dataclasses.field(default_factory=BucketMap)
    """For each holder, its grant."""
    grants_ever: BucketMap = dataclasses.field(default_factory=BucketMap)
    """For each holder ever, its newest grant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerState:
    """A worker, there or gone."""

    started: WorkerStarted
    stopped: WorkerStopped | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarkState(Answered):
    """A name for a position; once set it stays."""

    name: str
    mark: MarkSet | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogState:
    """The log itself."""

    created: LogCreated | None = None
    archives: Mapping[tuple[str, int, int], LogArchived] = dataclasses.field(default_factory=dict)
    """For each topic and partition, and how many partitions there are, the archive that reaches farthest."""
