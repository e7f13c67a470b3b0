"""When what happened in a run. State holds no times, for time decides nothing; the tables show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crucible.projections.payload import Moment
from crucible.records.record import Record
from crucible.records.run_events import RunCanceled, RunCompleted, RunCreated, RunFailed, RunReopened, RunStarted
from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    HypothesesTested,
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

    def note(self, event: Record, at: Moment) -> None:
        """Take the time of an event that was applied."""
        noter = _NOTERS.get(type(event))
        if noter is not None:
            noter(self, event, at)


def _created(times: RunTimes, _event: RunCreated, at: Moment) -> None:
    times.created = at


def _started(times: RunTimes, _event: RunStarted, at: Moment) -> None:
    times.started = times.started or at


def _reopened(times: RunTimes, _event: RunReopened, _at: Moment) -> None:
    times.ended = None


def _ended(times: RunTimes, _event: Record, at: Moment) -> None:
    times.ended = at


def _requested(times: RunTimes, event: StageRequested, at: Moment) -> None:
    times.requested[event.stage, event.attempt] = at


def _reused(times: RunTimes, event: StageReused, at: Moment) -> None:
    attempt = (event.stage, event.attempt)
    times.requested[attempt] = times.attempt_ended[attempt] = at


def _claimed(times: RunTimes, event: StageClaimed, at: Moment) -> None:
    times.beat[event.claim_id] = times.claimed[event.claim_id] = at
    times.first_claimed.setdefault((event.stage, event.attempt), at)


def _beat(times: RunTimes, event: _Beat, at: Moment) -> None:
    times.beat[event.claim_id] = at


def _attempt_ended(times: RunTimes, event: _AttemptEnd, at: Moment) -> None:
    times.beat[event.claim_id] = times.claim_ended[event.claim_id] = at
    times.attempt_ended[event.stage, event.attempt] = at


def _lease_expired(times: RunTimes, event: StageLeaseExpired, at: Moment) -> None:
    times.claim_ended[event.claim_id] = at


_Beat = StageResumed | StageHeartbeat | CheckpointSaved | ArtifactSaved | CellsCompared | HypothesesTested | DatasetUsed
_AttemptEnd = StageCompleted | StageFailed | StageCanceled
_NOTERS: dict[type[Record], Callable[[RunTimes, Any, Moment], None]] = {
    RunCreated: _created,
    RunStarted: _started,
    RunReopened: _reopened,
    **dict.fromkeys((RunCompleted, RunFailed, RunCanceled), _ended),
    StageRequested: _requested,
    StageReused: _reused,
    StageClaimed: _claimed,
    **dict.fromkeys(
        (StageResumed, StageHeartbeat, CheckpointSaved, ArtifactSaved, CellsCompared, HypothesesTested, DatasetUsed),
        _beat,
    ),
    **dict.fromkeys((StageCompleted, StageFailed, StageCanceled), _attempt_ended),
    StageLeaseExpired: _lease_expired,
}
