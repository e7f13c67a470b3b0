"""When what happened in a run. State holds no times, for time decides nothing; the tables show them."""

from __future__ import annotations

import datetime as dt

from crucible.projections.payload import moment
from crucible.records.record import Record
from crucible.records.run_events import RunCanceled, RunCompleted, RunCreated, RunFailed, RunReopened, RunStarted
from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
    StageLeaseExpired,
    StageRequested,
    StageResumed,
    StageReused,
)

Moment = dt.datetime | None
_CLAIM_RECORDS = (
    StageClaimed,
    StageResumed,
    StageHeartbeat,
    CheckpointSaved,
    ArtifactSaved,
    CellsCompared,
    DatasetUsed,
    StageCompleted,
    StageFailed,
    StageCanceled,
)
_CLAIM_ENDS = (StageCompleted, StageFailed, StageCanceled, StageLeaseExpired)
_ATTEMPT_ENDS = (StageCompleted, StageFailed, StageCanceled)
_RUN_ENDS = (RunCompleted, RunFailed, RunCanceled)


class RunTimes:
    """The moments of one run, from the events that were applied."""

    __slots__ = (
        "attempt_ended",
        "beat",
        "claim_ended",
        "claimed",
        "created",
        "ended",
        "first_claimed",
        "requested",
        "started",
    )

    def __init__(self) -> None:
        self.created: Moment = None
        self.started: Moment = None
        self.ended: Moment = None
        self.requested: dict[tuple[str, int], Moment] = {}
        self.first_claimed: dict[tuple[str, int], Moment] = {}
        self.attempt_ended: dict[tuple[str, int], Moment] = {}
        self.claimed: dict[str, Moment] = {}
        self.beat: dict[str, Moment] = {}
        self.claim_ended: dict[str, Moment] = {}

    def note(self, event: Record) -> None:
        """Take the time of an event that was applied."""
        at = moment(event.occurred_at_us)
        self._note_claim(event, at)
        if isinstance(event, StageRequested | StageReused):
            self.requested[event.stage, event.attempt] = at
            if isinstance(event, StageReused):
                self.attempt_ended[event.stage, event.attempt] = at
        elif isinstance(event, _RUN_ENDS):
            self.ended = at
        elif isinstance(event, RunReopened):
            self.ended = None
        elif isinstance(event, RunStarted):
            self.started = self.started or at
        elif isinstance(event, RunCreated):
            self.created = at

    def _note_claim(self, event: Record, at: Moment) -> None:
        if isinstance(event, _CLAIM_RECORDS):
            self.beat[event.claim_id] = at
            if isinstance(event, StageClaimed):
                self.claimed[event.claim_id] = at
                self.first_claimed.setdefault((event.stage, event.attempt), at)
        if isinstance(event, _CLAIM_ENDS):
            self.claim_ended[event.claim_id] = at
            if isinstance(event, _ATTEMPT_ENDS):
                self.attempt_ended[event.stage, event.attempt] = at
