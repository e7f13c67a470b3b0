"""The fold of a run's stages: attempts are requested, claimed, reused and given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from crucible.records.record import Record
from crucible.records.stage_events import StageClaimed, StageRequested, StageReused
from crucible.rules.draft import Void
from crucible.rules.state import AttemptState, ClaimState, RunState, StageState, changed


def with_attempt(run: RunState, stage: StageState, attempt: AttemptState) -> RunState:
    """The run with the newest attempt of a stage replaced."""
    stages = run.stages
    index = stage.index
    replaced = changed(stage, attempts=(*stage.attempts[:-1], attempt))
    return changed(run, stages=(*stages[:index], replaced, *stages[index + 1 :]))


def without_request(run: RunState, status: Literal["failed", "canceled"]) -> tuple[StageState, ...]:
    """The stages of a run that ends now: an attempt that waits for a worker ends with it."""
    return tuple(
        changed(stage, attempts=(*stage.attempts[:-1], changed(stage.attempts[-1], status=status)))
        if stage.status == "requested"
        else stage
        for stage in run.stages
    )


def _next_attempt(  # noqa: PLR0911  a return for each guard
    run: RunState, event: StageRequested | StageReused
) -> StageState | Void:
    """The stage that a new attempt may be made of, or why none may."""
    if run.status != "running":
        return Void("the run is not running")
    if run.cancel_reason is not None:
        return Void("the run is to be canceled")
    stage = run.stage(event.stage)
    if stage is None:
        return Void("the run has no such stage")
    if stage is not run.current_stage:
        return Void("the stage is not the current one")
    if event.attempt != len(stage.attempts) + 1:
        return Void("the attempt is not the next one")
    current = stage.current
    if current is not None and current.status != "failed":
        return Void("the last attempt has not failed")
    if current is not None and stage.retries >= run.created.retries_max[stage.index]:
        return Void("no retry is left")
    return stage


def _requested(run: RunState, event: StageRequested) -> RunState | Void:
    if event.generation != run.generation:
        return Void("of another generation")
    stage = _next_attempt(run, event)
    if isinstance(stage, Void):
        return stage
    attempt = AttemptState(number=event.attempt, status="requested", generation=run.generation, request=event)
    return _with_new_attempt(run, stage, attempt)


def _reused(run: RunState, event: StageReused) -> RunState | Void:
    if event.generation != run.generation:
        return Void("of another generation")
    stage = _next_attempt(run, event)
    if isinstance(stage, Void):
        return stage
    if stage.attempts:
        return Void("an attempt was made before")
    attempt = AttemptState(number=event.attempt, status="reused", generation=run.generation, reused=event)
    return _with_new_attempt(run, stage, attempt)


def _with_new_attempt(run: RunState, stage: StageState, attempt: AttemptState) -> RunState:
    stages = run.stages
    index = stage.index
    extended = changed(stage, attempts=(*stage.attempts, attempt))
    return changed(run, stages=(*stages[:index], extended, *stages[index + 1 :]))


def _claimed(run: RunState, event: StageClaimed) -> RunState | Void:
    if run.cancel_reason is not None:
        return Void("the run is to be canceled")
    stage = run.stage(event.stage)
    if stage is None:
        return Void("the run has no such stage")
    attempt = stage.current
    if attempt is None or attempt.number != event.attempt:
        return Void("the attempt is not the current one")
    if attempt.status != "requested":
        return Void("the attempt is not to be had")
    if any(claim.claim_id == event.claim_id for claim in attempt.claims):
        return Void("a repeat")
    claim = ClaimState(
        claim_id=event.claim_id,
        stage=event.stage,
        attempt=event.attempt,
        worker_id=event.worker_id,
        host=event.host,
        lease_ms=event.lease_ms,
        claimed_event_id=event.event_id,
        last_event_id=event.event_id,
        last_us=event.occurred_at_us,
    )
    return with_attempt(run, stage, changed(attempt, status="running", claims=(*attempt.claims, claim)))


STAGE_EVOLVERS: dict[type[Record], Callable[[RunState, Any], RunState | Void]] = {
    StageRequested: _requested,
    StageReused: _reused,
    StageClaimed: _claimed,
}
