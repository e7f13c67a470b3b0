"""What is missing now in one run: the next request, retry or end, with ids that any manager would give them.

Nothing is remembered between two plans: whatever was not written, because a manager died between two appends or
another one was faster, is simply still missing, or no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from crucible.canonical import derived_id
from crucible.errors import CrucibleError
from crucible.records.log_events import PermitGranted, PermitReleased
from crucible.records.record import Record
from crucible.records.run_events import (
    AnalysisRequested,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStarted,
)
from crucible.records.stage_events import ArtifactSaved, StageRequested, StageReused
from crucible.rules.blueprint import Blueprint
from crucible.rules.budget import runs_limit
from crucible.rules.draft import Draft, Void
from crucible.rules.effective import artifacts
from crucible.rules.evolve_run import evolve
from crucible.rules.state import AttemptState, LimitState, RunState, StageState, SubmissionState
from crucible.stage_call import SCRIPT_TYPE

RETRY_DELAY_S = 1.0
"""Before the first retry of a stage; doubles with each further one."""
RETRY_DELAY_MAX_S = 30.0
"""Before any retry at most."""
LOST_CLAIMS_MAX = 100
"""Claims of one attempt that may end in silence or with their worker before the run fails."""
SCRIPT_CLAIM_S = 60.0
"""How long a script may take to claim its own run."""
REQUEST_BYTES_MAX = 700_000
"""Bytes of the texts of a request at most: it has to fit one append."""
CREATED_BYTES_MAX = 100_000
"""Bytes of the texts of a run's creation at most that its start may follow in the same append."""
REASON_CHARACTERS_MAX = 500
"""Of a failure's message in the reason of a run's end."""

Drafts = list[Draft]


class Ready(Protocol):
    """The manager's own clock: whether a retry's delay has passed."""

    def __call__(self, run_id: str, stage: str, attempt: int, delay_s: float) -> bool:
        """True once ``delay_s`` has passed since the first call for this attempt."""
        ...


class Reuse(Protocol):
    """Looks for results that stand for a stage."""

    def __call__(self, run: RunState, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a `StageReused` says in place of this request; None: the stage has to be executed."""
        ...


def never_reuse(run: RunState, request: Mapping[str, Any]) -> None:
    """Execute everything."""
    _ = run, request


def plan_created(
    fields: Mapping[str, Any], submission: SubmissionState, asked: AnalysisRequested | None = None
) -> Drafts:
    """A run of a submission that is not there yet; ``asked`` is what asked for it after the end."""
    cause = submission.accepted if asked is None else asked
    created = Draft(
        record_type=RunCreated,
        event_id=derived_id(fields["run_id"], "RunCreated"),
        fields=fields,
        causation_id=cause.event_id,
        correlation_id=cause.correlation_id or cause.event_id,
    )
    return [created]


def as_created(created: Draft) -> RunState | None:
    """The run as its creation makes it, for one whose start may follow in the same batch; None if it may not.

    It may if the run needs no permit, and if both fit one append. A run that was just submitted is on its way one
    append and one reading sooner.
    """
    if created.fields["limits"] or _text_bytes(created.fields) > CREATED_BYTES_MAX:
        return None
    return _after(None, created)


def plan_start(run: RunState, blueprint: Blueprint, reuse: Reuse = never_reuse) -> Drafts:
    """The start of a run that has its permits, and what follows at once: its first request, behind reused stages."""
    fields = {"run_id": run.run_id, "generation": run.generation}
    started = _draft(run, RunStarted, fields, causation_id=run.opened_by)
    after = _after(run, started)
    return [started] if after is None else [started, *_plan_onward(after, blueprint, reuse)]


def plan_run(
    run: RunState, submission: SubmissionState, blueprint: Blueprint, ready: Ready, reuse: Reuse = never_reuse
) -> Drafts:
    """What a run that has not ended needs now, but its start; empty if it needs nothing."""
    drafts: Drafts = []
    cancel_reason, cancel_event_id = run.cancel_reason, run.cancel_event_id
    if cancel_reason is None and (canceling := _cancel(run, submission)) is not None:
        drafts.append(canceling)
        cancel_reason, cancel_event_id = submission.cancel_reason, canceling.event_id
    stage = run.current_stage
    if stage is None:
        drafts.append(_completion(run))
    elif cancel_reason is not None:
        if run.live_claim is None:
            fields = {"run_id": run.run_id, "generation": run.generation, "reason": cancel_reason}
            drafts.append(_draft(run, RunCanceled, fields, causation_id=cancel_event_id))
    elif run.status == "running":
        drafts.extend(_plan_stage(run, stage, blueprint, ready, reuse))
    return drafts


def is_shut_out(run: RunState, opening: RunState) -> bool:
    """Whether a run may never start, because the run before its grid did not complete."""
    if run.run_id == opening.run_id or not opening.is_terminal or opening.status == "completed":
        return False
    return run.status == "pending" and run.cancel_reason is None


def plan_shut_out(run: RunState, opening: RunState) -> Drafts:
    """The end of a run that is shut out."""
    ended = "RunFailed" if opening.status == "failed" else "RunCanceled"
    cause = derived_id(opening.run_id, opening.generation, ended)
    reason = f"{opening.created.ref} {opening.status}: the grid starts only after it"
    fields = {"run_id": run.run_id, "reason": reason}
    event_id = derived_id(run.run_id, run.generation, cause, "RunCancelRequested")
    canceling = _with_id(run, RunCancelRequested, event_id, fields, cause)
    ending = {**fields, "generation": run.generation}
    return [canceling, _draft(run, RunCanceled, ending, causation_id=event_id)]


def plan_grant(run: RunState, limit: str, capacity: int) -> Drafts:
    """A permit for this generation of a run."""
    fields = {"limit": limit, "capacity": capacity, "holder": run.run_id, "grant": run.generation}
    return [_draft(run, PermitGranted, fields, limit, causation_id=run.opened_by)]


def plan_releases(run: RunState, limits: Mapping[str, LimitState]) -> list[Drafts]:
    """The permits that a run still holds for a generation that has ended, given back; a batch for each limit."""
    batches: list[Drafts] = []
    for name in run.created.limits:
        limit = limits.get(name)
        grant = limit.holders.get(run.run_id) if limit is not None else None
        if grant is None or (is_kept(run, name) and run.starts):
            continue
        if run.is_terminal or grant < run.generation:
            fields = {"limit": name, "holder": run.run_id, "grant": grant}
            batches.append([_draft(run, PermitReleased, fields, name, grant)])
    return batches


def is_kept(run: RunState, limit: str) -> bool:
    """Whether a permit is used up, not borrowed: a run that has started keeps its share of a budget of runs."""
    return limit == runs_limit(run.created.submission_id)


def retry_delay_s(retries: int) -> float:
    """Seconds before the next attempt after ``retries`` retries: 1, 2, 4, ... 30."""
    return min(RETRY_DELAY_MAX_S, RETRY_DELAY_S * 2.0 ** min(retries, 10))


def inherits_cancel(run: RunState, submission: SubmissionState) -> bool:
    """Whether the cancel of a submission is still to be handed on to a run: once, so a run retried since goes on."""
    if submission.cancel_event_id is None or submission.closed is not None:
        return False
    return _cancel_id(run, submission.cancel_event_id) not in run.effects


def _cancel_id(run: RunState, cause: str) -> str:
    return derived_id(run.run_id, cause, "RunCancelRequested")


def _cancel(run: RunState, submission: SubmissionState) -> Draft | None:
    cause = submission.cancel_event_id
    if cause is None or not inherits_cancel(run, submission):
        return None
    fields = {"run_id": run.run_id, "reason": submission.cancel_reason}
    return _with_id(run, RunCancelRequested, _cancel_id(run, cause), fields, cause)


def _plan_onward(run: RunState, blueprint: Blueprint, reuse: Reuse) -> Drafts:
    """The next request of a run whose stage has no attempt, behind every stage that is reused; or the run's end.

    All of it is one batch, so that a run that needs no worker costs one append.
    """
    drafts: Drafts = []
    size = 0
    while (stage := run.current_stage) is not None:
        draft = _request(run, stage, blueprint, reuse, causation_id=_cause(run, stage))
        size += _text_bytes(draft.fields)
        if drafts and size > REQUEST_BYTES_MAX:
            return drafts  # the next plan goes on
        drafts.append(draft)
        after = _after(run, draft) if draft.record_type is StageReused else None
        if after is None:
            return drafts
        run = after
    return [*drafts, _completion(run)]


def _after(run: RunState | None, draft: Draft) -> RunState | None:
    """The run once a draft stands on the log; None if it would have no effect."""
    record = draft.record_type(
        event_id=draft.event_id,
        occurred_at_us=0,
        actor="",
        causation_id=draft.causation_id,
        correlation_id=draft.correlation_id,
        traceparent=None,
        **draft.fields,
    )
    after = evolve(run, record)
    return None if isinstance(after, Void) else after


def _plan_stage(run: RunState, stage: StageState, blueprint: Blueprint, ready: Ready, reuse: Reuse) -> Drafts:
    attempt = stage.current
    if attempt is None:
        return _plan_onward(run, blueprint, reuse)
    if attempt.status == "failed":
        return _plan_failed(run, stage, attempt, blueprint, ready)
    if attempt.status == "requested" and attempt.request is not None and attempt.request.stage_type == SCRIPT_TYPE:
        return _plan_script(run, stage, attempt, ready)
    if attempt.status == "requested" and attempt.lost_claims >= LOST_CLAIMS_MAX:
        return [_failure(run, stage, f"{stage.name}: {attempt.lost_claims} workers were lost while they ran it", None)]
    return []


def _plan_script(run: RunState, stage: StageState, attempt: AttemptState, ready: Ready) -> Drafts:
    """The end of a run that only its script can work on, once that is gone."""
    if attempt.lost_claims:
        reason = "the script's process ended without a word"
    elif attempt.number > 1:
        reason = "only the script itself can do it: start the script again"
    elif ready(run.run_id, stage.name, attempt.number, SCRIPT_CLAIM_S):
        reason = f"the script did not begin within {SCRIPT_CLAIM_S:g} s"
    else:
        return []
    return [_failure(run, stage, f"{stage.name}: {reason}", None)]


def _plan_failed(run: RunState, stage: StageState, attempt: AttemptState, blueprint: Blueprint, ready: Ready) -> Drafts:
    failure = attempt.failure
    if failure is None:
        return []
    is_left = stage.retries < run.created.retries_max[stage.index]
    if is_left and failure.error_class in _retried(blueprint, stage.name):
        if not ready(run.run_id, stage.name, attempt.number + 1, retry_delay_s(stage.retries)):
            return []
        return [_request(run, stage, blueprint, never_reuse, causation_id=failure.event_id)]
    message = failure.message[:REASON_CHARACTERS_MAX]
    return [_failure(run, stage, f"{stage.name}: {failure.error_type}: {message}", failure.event_id)]


def _retried(blueprint: Blueprint, stage: str) -> frozenset[str]:
    """Classes of failures that are retried: none of a stage that the experiment does not have."""
    try:
        return blueprint.retried(stage)
    except KeyError:
        return frozenset()


def _request(
    run: RunState, stage: StageState, blueprint: Blueprint, reuse: Reuse, *, causation_id: str | None
) -> Draft:
    """The next attempt of a stage; the end of the run if an artifact that it takes was never made.

    Only a first attempt in a first generation is reused: who asks for a retry wants to see it executed.
    """
    attempt = len(stage.attempts) + 1
    try:
        inputs, missing = _inputs(run, blueprint.inputs(stage.name))
    except KeyError:
        return _failure(run, stage, f"{stage.name}: the experiment has no such stage", causation_id)
    if missing:
        return _failure(run, stage, f"{stage.name}: no artifact {', '.join(missing)} to start from", causation_id)
    try:
        fields = blueprint.request(run.created, stage.name, attempt, inputs)
    except CrucibleError as error:
        return _failure(run, stage, f"{stage.name}: {error}"[:REASON_CHARACTERS_MAX], causation_id)
    if attempt == 1 and run.generation == 1 and (result := reuse(run, fields)) is not None:
        fields = {
            "run_id": run.run_id,
            "stage": stage.name,
            "attempt": attempt,
            "generation": run.generation,
            **result,
        }
        return _draft(run, StageReused, fields, stage.name, attempt, result["from_event_id"], causation_id=causation_id)
    size = _text_bytes(fields)
    if size > REQUEST_BYTES_MAX:
        reason = f"{stage.name}: options and inputs have {size} bytes; {REQUEST_BYTES_MAX} are allowed"
        return _failure(run, stage, reason, causation_id)
    fields = {**fields, "generation": run.generation}
    return _draft(run, StageRequested, fields, stage.name, attempt, causation_id=causation_id)


def _text_bytes(fields: Mapping[str, Any]) -> int:
    """Bytes of the texts of a draft: nearly all that it has."""
    return sum(len(text.encode()) for text in (*fields.get("blobs", ()), *fields.values()) if isinstance(text, str))


def _inputs(run: RunState, wanted: Mapping[str, str]) -> tuple[dict[str, ArtifactSaved], list[str]]:
    """For each argument its artifact, and the names of those that are not there."""
    found: dict[str, ArtifactSaved] = {}
    missing: list[str] = []
    for argument, reference in wanted.items():
        stage_name, _, name = reference.partition(".")
        stage = run.stage(stage_name)
        artifact = artifacts(stage).get(name) if stage is not None and stage.is_done else None
        if artifact is None:
            missing.append(reference)
        else:
            found[argument] = artifact
    return found, missing


def _cause(run: RunState, stage: StageState) -> str | None:
    """event_id of what the first request of a stage follows."""
    if stage.index == 0:
        return run.started.event_id if run.started is not None else None
    before = run.stages[stage.index - 1].attempts[-1]
    result = before.completed or before.reused
    return result.event_id if result is not None else None


def _completion(run: RunState) -> Draft:
    last = run.stages[-1].attempts[-1]
    result = last.completed or last.reused
    fields = {"run_id": run.run_id, "generation": run.generation}
    return _draft(run, RunCompleted, fields, causation_id=result.event_id if result is not None else None)


def _failure(run: RunState, stage: StageState, reason: str, causation_id: str | None) -> Draft:
    fields = {"run_id": run.run_id, "generation": run.generation, "stage": stage.name, "reason": reason}
    return _draft(run, RunFailed, fields, causation_id=causation_id)


def _draft(
    run: RunState,
    record_type: type[Record],
    fields: Mapping[str, Any],
    *parts: str | int,
    causation_id: str | None = None,
) -> Draft:
    """A draft whose id says run, generation, kind and parts."""
    event_id = derived_id(run.run_id, run.generation, record_type.__name__, *parts)
    return _with_id(run, record_type, event_id, fields, causation_id)


def _with_id(
    run: RunState, record_type: type[Record], event_id: str, fields: Mapping[str, Any], causation_id: str | None
) -> Draft:
    return Draft(
        record_type=record_type,
        event_id=event_id,
        fields=fields,
        causation_id=causation_id,
        correlation_id=run.created.correlation_id or run.created.event_id,
    )
