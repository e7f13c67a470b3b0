"""The fold of a claim: what the worker that holds an attempt may record, and how the claim ends.

Every record of a claim is void once the claim has ended: that is what fences a worker that was taken for gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from crucible.records.hook_events import HookCompleted, HookFailed
from crucible.records.record import Record
from crucible.records.stage_events import (
    ArtifactSaved,
    CellsCompared,
    CheckpointSaved,
    DatasetUsed,
    HypothesesTested,
    StageCanceled,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
    StageLeaseExpired,
    StageResumed,
)
from crucible.rules.draft import Void
from crucible.rules.evolve_stage import with_attempt
from crucible.rules.state import AttemptState, ClaimState, RunState, StageState, changed

ClaimEvent = (
    StageHeartbeat
    | StageResumed
    | CheckpointSaved
    | ArtifactSaved
    | DatasetUsed
    | CellsCompared
    | HypothesesTested
    | HookCompleted
    | HookFailed
    | StageCompleted
    | StageFailed
    | StageCanceled
    | StageLeaseExpired
)


class _Held(NamedTuple):
    """Where a live claim stands in its run."""

    stage: StageState
    attempt: AttemptState
    claim: ClaimState


def _held(run: RunState, event: ClaimEvent) -> _Held | Void:
    """The live claim that the event speaks of, or why there is none."""
    stage = run.stage(event.stage)
    if stage is None:
        return Void("the run has no such stage")
    attempt = stage.current
    if attempt is None or attempt.number != event.attempt:
        return Void("fenced: the attempt is not the current one")
    claim = attempt.live_claim
    if claim is None or claim.claim_id != event.claim_id:
        return Void("fenced: the claim does not live")
    return _Held(stage, attempt, claim)


def _with_claim(run: RunState, held: _Held, claim: ClaimState, **changes: Any) -> RunState:
    """The run with a claim replaced and fields of its attempt changed."""
    attempt = held.attempt
    return with_attempt(run, held.stage, changed(attempt, claims=(*attempt.claims[:-1], claim), **changes))


def _heard(claim: ClaimState, event: ClaimEvent, **changes: Any) -> ClaimState:
    """The claim after a record of its worker: what is not heard of for longer than a lease is a clock that was set."""
    passed_us = min(max(0, event.occurred_at_us - claim.last_us), claim.lease_ms * 1000)
    heard = {"last_event_id": event.event_id, "last_us": event.occurred_at_us, "work_us": claim.work_us + passed_us}
    return changed(claim, **heard, **changes)


def _heartbeat(run: RunState, event: StageHeartbeat) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    if event.beat <= held.claim.beat:
        return Void("a repeat")
    claim = _heard(
        held.claim,
        event,
        beat=event.beat,
        step=held.claim.step if event.step is None else event.step,
        telemetry_end=event.telemetry_end,
    )
    return _with_claim(run, held, claim)


def _resumed(run: RunState, event: StageResumed) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    if held.claim.resumed_from is not None:
        return Void("the claim has resumed")
    if not _may_resume(held, event.checkpoint_event_id):
        return Void("no earlier claim has this checkpoint")
    claim = _heard(held.claim, event, resumed_from=event.checkpoint_event_id, step=event.step)
    return _with_claim(run, held, claim)


def _may_resume(held: _Held, checkpoint_event_id: str) -> bool:
    return any(
        checkpoint.event_id == checkpoint_event_id
        for attempt in held.stage.attempts[held.stage.attempts_void :]
        for claim in attempt.claims
        if claim is not held.claim
        for checkpoint in claim.checkpoints
    )


def _checkpoint(run: RunState, event: CheckpointSaved) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    claim = held.claim
    if any(saved.event_id == event.event_id for saved in reversed(claim.checkpoints)):
        return Void("a repeat")
    claim = _heard(
        claim,
        event,
        checkpoints=(*claim.checkpoints, event),
        artifacts_at=(*claim.artifacts_at, len(claim.artifacts)),
        step=event.step,
        telemetry_end=event.telemetry_end,
    )
    return _with_claim(run, held, claim)


def _kept(field: str) -> Callable[[RunState, Any], RunState | Void]:
    """What adds a record to those that a claim keeps in a field, once."""

    def evolve_kept(run: RunState, event: Any) -> RunState | Void:
        held = _held(run, event)
        if isinstance(held, Void):
            return held
        kept = getattr(held.claim, field)
        if any(before.event_id == event.event_id for before in kept):
            return Void("a repeat")
        return _with_claim(run, held, _heard(held.claim, event, **{field: (*kept, event)}))

    return evolve_kept


def _completed(run: RunState, event: StageCompleted) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    claim = _heard(held.claim, event, status="completed", telemetry_end=event.telemetry_end)
    return _with_claim(run, held, claim, status="completed", completed=event)


def _failed(run: RunState, event: StageFailed) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    claim = _heard(held.claim, event, status="failed", telemetry_end=event.telemetry_end)
    return _with_claim(run, held, claim, status="failed", failure=event)


def _canceled(run: RunState, event: StageCanceled) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    if run.cancel_reason is None:
        return Void("no cancel was asked for")
    claim = _heard(held.claim, event, status="canceled", telemetry_end=event.telemetry_end)
    return _with_claim(run, held, claim, status="canceled")


def _lease_expired(run: RunState, event: StageLeaseExpired) -> RunState | Void:
    held = _held(run, event)
    if isinstance(held, Void):
        return held
    if event.last_event_id != held.claim.last_event_id:
        return Void("the claim has a later record")
    status = "released" if event.reason == "released" else "expired"
    return _with_claim(run, held, changed(held.claim, status=status), status="requested")


CLAIM_EVOLVERS: dict[type[Record], Callable[[RunState, Any], RunState | Void]] = {
    StageHeartbeat: _heartbeat,
    StageResumed: _resumed,
    CheckpointSaved: _checkpoint,
    ArtifactSaved: _kept("artifacts"),
    DatasetUsed: _kept("datasets"),
    CellsCompared: _kept("comparisons"),
    HypothesesTested: _kept("tests"),
    HookCompleted: _kept("hooks"),
    HookFailed: _kept("hooks"),
    StageCompleted: _completed,
    StageFailed: _failed,
    StageCanceled: _canceled,
    StageLeaseExpired: _lease_expired,
}
