"""Every state that the folds can reach with small inputs, and what each event does there: found, not written down.

The fold of each aggregate is started from nothing and given every event in every form that could matter (the right
attempt and a wrong one, the living claim and a stranger's), until no new state appears.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from crucible.records.hook_events import HookCompleted, HookFailed
from crucible.records.limit_events import BreakerOpened, BudgetChanged, BudgetExceeded
from crucible.records.log_events import (
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    MarkSet,
    PermitGranted,
    PermitReleased,
    WorkerStarted,
    WorkerStopped,
)
from crucible.records.record import Record
from crucible.records.run_events import (
    AnalysisRequested,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunPurged,
    RunReopened,
    RunStarted,
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
)
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
from crucible.rules import evolve_experiment, evolve_limit, evolve_mark, evolve_run, evolve_worker
from crucible.rules.draft import Void
from crucible.rules.state import ExperimentState, LimitState, MarkState, RunState, WorkerState

NOTHING = "does not exist"
GENERATIONS_MAX = 2
"""Generations of a run or a submission that are explored."""
STATES_MAX = 20_000
"""More states than this are a mistake in the exploration."""

_BLANKS: Mapping[str, Any] = {"str": "", "int": 0, "bool": False}
_ids = itertools.count()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What an event does in a state, both by name."""

    state: str
    event: str
    becomes: str | None
    """The state after it; None: it is void."""
    reason: str | None
    """Why it is void."""


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """A fold, the events to try in each of its states, and how states are told apart and named."""

    name: str
    evolve: Callable[[Any, Record], Any]
    events: Callable[[Any], Iterable[Record]]
    identify: Callable[[Any], Hashable]
    describe: Callable[[Any], str]


def explore(aggregate: Aggregate) -> set[Step]:
    """Every step from every state that can be reached from nothing."""
    steps: set[Step] = set()
    seen: set[Hashable] = {aggregate.identify(None)}
    waiting: list[Any] = [None]
    while waiting:
        state = waiting.pop()
        here = aggregate.describe(state)
        for event in aggregate.events(state):
            after = aggregate.evolve(state, event)
            name = type(event).__name__
            if isinstance(after, Void):
                steps.add(Step(here, name, None, after.reason))
                continue
            steps.add(Step(here, name, aggregate.describe(after), None))
            identity = aggregate.identify(after)
            if identity not in seen:
                seen.add(identity)
                waiting.append(after)
        if len(seen) > STATES_MAX:
            message = f"{aggregate.name} has more than {STATES_MAX} states: the exploration tells too many apart"
            raise AssertionError(message)
    return steps


def _make(record_type: type[Record], **fields: Any) -> Record:
    blanks = {field.name: _blank(str(field.type)) for field in dataclasses.fields(record_type)}
    return record_type(**{**blanks, "event_id": f"event-{next(_ids)}", **fields})


def _blank(annotation: str) -> Any:
    if annotation in _BLANKS:
        return _BLANKS[annotation]
    if annotation.endswith("| None"):
        return None
    return {} if annotation.startswith("Mapping") else []


def _run_events(run: RunState | None) -> Iterable[Record]:
    generation = run.generation if run is not None else 1
    stages = ["first", "second"]
    yield _make(RunCreated, run_id="run", stages=stages, retries_max=[1, 1])
    for number in (generation, generation + 1):
        yield _make(RunStarted, run_id="run", generation=number)
        yield _make(RunCompleted, run_id="run", generation=number)
        yield _make(RunCanceled, run_id="run", generation=number)
        for stage in stages:
            yield _make(RunFailed, run_id="run", generation=number, stage=stage)
            if number <= GENERATIONS_MAX:
                yield _make(RunReopened, run_id="run", generation=number, from_stage=stage)
    yield _make(RunCancelRequested, run_id="run", reason="asked")
    yield _make(RunPurged, run_id="run")
    for stage in stages:
        yield from _stage_events(run, stage)


def _stage_events(run: RunState | None, name: str) -> Iterable[Record]:
    stage = run.stage(name) if run is not None else None
    generation = run.generation if run is not None else 1
    attempt = len(stage.attempts) if stage is not None else 0
    where = {"run_id": "run", "stage": name}
    for number in (attempt, attempt + 1):
        yield _make(StageRequested, **where, attempt=number, generation=generation)
        yield _make(StageReused, **where, attempt=number, generation=generation)
    current = stage.current if stage is not None else None
    claim = current.live_claim if current is not None else None
    claims = len(current.claims) if current is not None else 0
    yield _make(StageClaimed, **where, attempt=attempt, claim_id=f"{name}.{attempt}.{min(claims, 1)}")
    last = claim.last_event_id if claim is not None else "none"
    for claim_id in dict.fromkeys((claim.claim_id if claim is not None else "stranger", "stranger")):
        mine = {**where, "attempt": attempt, "claim_id": claim_id}
        yield _make(StageHeartbeat, **mine, beat=1)
        yield _make(CheckpointSaved, **mine)
        yield _make(ArtifactSaved, **mine)
        yield _make(DatasetUsed, **mine)
        yield _make(CellsCompared, **mine)
        yield _make(HypothesesTested, **mine)
        yield _make(HookCompleted, **mine)
        yield _make(HookFailed, **mine)
        yield _make(StageResumed, **mine, checkpoint_event_id="none")
        yield _make(StageCompleted, **mine)
        yield _make(StageFailed, **mine, error_class="transient")
        yield _make(StageCanceled, **mine)
        for last_event_id in (last, "an older one"):
            yield _make(StageLeaseExpired, **mine, last_event_id=last_event_id, reason="silent")


def _identify_run(run: RunState | None) -> Hashable:
    if run is None:
        return None
    stages = tuple(
        (stage.status, len(stage.attempts) - stage.attempts_before, len(stage.current.claims) if stage.current else 0)
        for stage in run.stages
    )
    return run.status, run.generation, run.cancel_reason, run.purged, stages


def _describe_run(run: RunState | None) -> str:
    if run is None:
        return NOTHING
    if run.is_terminal:
        return f"{run.status}, purged" if run.purged else run.status
    asked = ", cancel asked for" if run.cancel_reason is not None else ""
    if run.status == "pending":
        return f"pending{asked}"
    stage = run.current_stage
    where = f"stage {stage.status}" if stage is not None else "every stage done"
    return f"running, {where}{asked}"


def _experiment_events(experiment: ExperimentState | None) -> Iterable[Record]:
    submission = experiment.submissions.get("submission") if experiment is not None else None
    generation = submission.generation if submission is not None else 1
    where = {"experiment": "experiment", "submission_id": "submission"}
    for number in (1, 2):
        yield _make(SubmissionAccepted, **where, number=number)
    causes = [None, *(stop.event_id for stop in submission.stops)] if submission is not None else [None]
    for cause in causes:
        yield _make(SubmissionCancelRequested, **where, reason="asked", causation_id=cause)
    yield _make(AnalysisRequested, **where)
    yield _make(BudgetChanged, **where, budget_json='{"cost":2}')
    for number in (generation, generation + 1):
        yield _make(SubmissionClosed, **where, generation=number)
        yield _make(BreakerOpened, **where, generation=number)
        for allowed in (1.0, 2.0):
            yield _make(BudgetExceeded, **where, generation=number, kind="cost", allowed=allowed)
        if number <= GENERATIONS_MAX:
            yield _make(SubmissionReopened, **where, generation=number)


def _identify_experiment(experiment: ExperimentState | None) -> Hashable:
    submission = experiment.submissions.get("submission") if experiment is not None else None
    if submission is None:
        return None
    stops = tuple(type(stop).__name__ for stop in submission.stops)
    is_asked = submission.cancel_reason is not None
    return submission.generation, submission.closed is None, is_asked, stops, bool(submission.limits)


def _describe_experiment(experiment: ExperimentState | None) -> str:
    submission = experiment.submissions.get("submission") if experiment is not None else None
    if submission is None:
        return NOTHING
    if submission.closed is not None:
        return "closed"
    stopped = ", stopped by budget or breaker" if submission.stops else ""
    return f"open{stopped}" if submission.cancel_reason is None else f"open{stopped}, cancel asked for"


def _limit_events(limit: LimitState | None) -> Iterable[Record]:
    del limit
    for holder, grant in itertools.product(("run", "other"), (1, 2)):
        yield _make(PermitGranted, limit="limit", holder=holder, grant=grant, capacity=1)
        yield _make(PermitReleased, limit="limit", holder=holder, grant=grant)


def _identify_limit(limit: LimitState | None) -> Hashable:
    return None if limit is None else (tuple(sorted(limit.holders.items())), tuple(sorted(limit.grants_ever.items())))


def _describe_limit(limit: LimitState | None) -> str:
    return "at capacity" if limit is not None and limit.holders else "free"


def _worker_events(worker: WorkerState | None) -> Iterable[Record]:
    del worker
    yield _make(WorkerStarted, worker_id="worker")
    yield _make(WorkerStopped, worker_id="worker", reason="drained")


def _describe_worker(worker: WorkerState | None) -> str:
    if worker is None:
        return NOTHING
    return "there" if worker.stopped is None else "gone"


def _mark_events(mark: MarkState | None) -> Iterable[Record]:
    del mark
    answer = {"command_id": "command", "command_type": "SetMark", "subject_id": "mark"}
    yield _make(CommandAccepted, **answer)
    yield _make(CommandRejected, **answer)
    yield _make(CommandObsolete, **answer)
    yield _make(MarkSet, name="mark", causation_id="command")


def _describe_mark(mark: MarkState | None) -> str:
    if mark is None:
        return "no answer"
    answered = "no answer" if not mark.answered else "accepted" if mark.accepted else "not accepted"
    return f"{answered}, effect seen" if mark.mark is not None else answered


AGGREGATES = (
    Aggregate("Run", evolve_run.evolve, _run_events, _identify_run, _describe_run),
    Aggregate("Submission", evolve_experiment.evolve, _experiment_events, _identify_experiment, _describe_experiment),
    Aggregate("Limit of one permit", evolve_limit.evolve, _limit_events, _identify_limit, _describe_limit),
    Aggregate("Worker", evolve_worker.evolve, _worker_events, _describe_worker, _describe_worker),
    Aggregate("Command and its effect", evolve_mark.evolve, _mark_events, _describe_mark, _describe_mark),
)
"""What the page of states is made of."""
