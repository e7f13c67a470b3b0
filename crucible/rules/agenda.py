"""What a manager may have to do: the runs and submissions that events have touched since it last looked.

The agenda is told of every event and keeps counts, so that a plan costs what has changed and never what there is. It
holds nothing that the world does not say: thrown away, it is made again from the world.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from crucible.errors import CrucibleError
from crucible.records.limit_events import BreakerOpened, BudgetChanged, BudgetExceeded
from crucible.records.log_events import PermitGranted, PermitReleased
from crucible.records.record import Record
from crucible.records.run_events import (
    AnalysisRequested,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunReopened,
    RunStarted,
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
)
from crucible.records.stage_events import (
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageLeaseExpired,
    StageRequested,
    StageReused,
)
from crucible.rules.analyses import plan_analyses
from crucible.rules.blueprint import Blueprint, Blueprints
from crucible.rules.draft import Draft
from crucible.rules.evolve_claim import CLAIM_EVOLVERS
from crucible.rules.finished import HasBlobs, Place, has_no_blobs
from crucible.rules.permits import Permits
from crucible.rules.plan import (
    Ready,
    as_created,
    inherits_cancel,
    is_shut_out,
    plan_created,
    plan_releases,
    plan_run,
    plan_shut_out,
    plan_start,
)
from crucible.rules.queue import SubmissionQueue, is_analysis, is_opening
from crucible.rules.sources import Sources
from crucible.rules.state import RunState, SubmissionState
from crucible.rules.stopping import Stopping, only_starts_stop
from crucible.rules.submission_end import has_changed, plan_end
from crucible.rules.world import World

AHEAD_RUNS = 16
"""Requests that nobody has claimed yet, from which on workers do not wait for the manager."""
CREATED_PER_PLAN = 250
"""Runs that one plan creates at most; the next one goes on."""
STARTS_PER_PLAN = 250
"""Runs of a submission that one plan starts at most; runs that need no worker end with their start."""
RUNS_PER_PLAN = 2000
"""Runs that one plan looks at, at most; the next one goes on."""

_RUN_EVENTS = frozenset(
    {
        RunCreated,
        RunStarted,
        RunCompleted,
        RunFailed,
        RunCancelRequested,
        RunCanceled,
        RunReopened,
        StageRequested,
        StageReused,
        StageClaimed,
        StageCompleted,
        StageFailed,
        StageCanceled,
        StageLeaseExpired,
    }
)
_SUBMISSION_EVENTS = frozenset(
    {
        SubmissionAccepted,
        SubmissionCancelRequested,
        SubmissionClosed,
        SubmissionReopened,
        AnalysisRequested,
        BudgetExceeded,
        BudgetChanged,
        BreakerOpened,
    }
)

Batches = list[list[Draft]]


class Agenda:
    """What may be missing, as of the events noted. For one thread."""

    def __init__(self, world: World, blueprints: Blueprints, has_blobs: HasBlobs = has_no_blobs) -> None:
        """``has_blobs`` tells whether the files of a result are there, so that it can be used again."""
        self._world = world
        self._blueprints = blueprints
        self._sources = Sources(world, has_blobs, self._blueprint)
        self._queues: dict[str, SubmissionQueue] = {}
        self._stopping = Stopping(world)
        self._now_s = 0.0
        """When the last plan was made, on the manager's monotonic clock."""
        self._dirty_runs: dict[str, None] = {}
        self._dirty_submissions: dict[str, None] = {}
        self._permits = Permits(world)
        self._users: dict[str, dict[str, None]] = {}
        """Submissions by the limit that their runs need."""
        self.is_ahead = False
        """As of the last plan workers have enough to do: the next one may come a little later, and hold more."""
        self.unreadable: dict[str, str] = {}
        """Submissions and analyses of them that this version can't read, and why: they are left alone."""
        self._sources.finished.note_all()
        self.rebuild()

    @property
    def has_work(self) -> bool:
        """Another plan may find something at once."""
        return bool(self._dirty_runs or self._dirty_submissions)

    def rebuild(self) -> None:
        """Forget what was planned and look at everything: after an append that failed, and at the start."""
        self._queues = {}
        self._permits.forget()
        for experiment in self._world.experiments.values():
            for submission_id in experiment.submissions:
                self._dirty_submissions[submission_id] = None
        for run in self._world.runs.values():
            self._touch(run)

    def note(self, event: Record, place: Place = (0, 0)) -> None:
        """An event was folded in, or found void; ``place`` is where it stands on the log."""
        kind = type(event)
        if isinstance(event, StageCompleted):
            self._sources.finished.note(event, place)
        if kind in _RUN_EVENTS:
            run = self._world.runs.get(event.key)
            if run is not None:
                self._touch(run)
        elif kind in CLAIM_EVOLVERS:
            self._stopping.note_record(event.key)
        elif kind in _SUBMISSION_EVENTS:
            self._note_submission(event)
        elif isinstance(event, PermitGranted | PermitReleased):
            self._permits.note(event.limit, event.holder)
            self._dirty_submissions.update(self._users.get(event.limit, {}))
            run = self._world.runs.get(event.holder)
            if run is not None:
                self._touch(run)

    def wake(self, run_id: str) -> None:
        """Look at a run again: the delay of its retry has passed."""
        self._dirty_runs[run_id] = None

    def wait_s(self, now_s: float, most_s: float) -> float:
        """Seconds until a plan may find something though nothing is new, at most ``most_s``."""
        return self._stopping.wait_s(now_s, most_s)

    def plan(self, ready: Ready, now_s: float = 0.0) -> Batches:
        """Everything that is missing at ``now_s`` on the manager's monotonic clock, a batch for each key.

        What exceeds the bounds is left to the next plan.
        """
        self._now_s = now_s
        self._stopping.begin_plan(now_s)
        self._dirty_submissions.update(dict.fromkeys(self._stopping.due(now_s)))
        batches: Batches = []
        self._permits.begin_plan()
        for run_id in _take(self._dirty_runs, RUNS_PER_PLAN):
            batches.extend(self._plan_run(self._world.runs[run_id], ready))
        submissions = list(self._dirty_submissions)
        self._dirty_submissions.clear()
        for submission_id in submissions:
            submission = self._world.submission(submission_id)
            if submission is not None:
                batches.extend(self._plan_submission(submission))
        self.is_ahead = any(self._queue(submission_id).requested >= AHEAD_RUNS for submission_id in submissions)
        return batches

    def _note_submission(self, event: Record) -> None:
        submission_id: str = vars(event)["submission_id"]
        self._dirty_submissions[submission_id] = None
        if isinstance(event, SubmissionReopened):
            self._stopping.note_generation(submission_id)
        if isinstance(event, SubmissionClosed):
            self._queue(submission_id).blueprint = None
        elif isinstance(event, AnalysisRequested):
            self._dirty_runs.update((run.run_id, None) for run in self._queue(submission_id).analyses.values())
        elif isinstance(event, SubmissionAccepted | SubmissionCancelRequested | BudgetExceeded | BreakerOpened):
            self._dirty_runs.update(dict.fromkeys(self._queue(submission_id).open_runs))

    def _touch(self, run: RunState) -> None:
        submission_id = run.created.submission_id
        queue = self._queue(submission_id)
        queue.put(run)
        self._stopping.note_run(run)
        self._dirty_runs[run.run_id] = None
        if is_opening(run) and run.is_terminal and run.status != "completed":
            self._dirty_runs.update(dict.fromkeys(queue.open_runs))
        self._dirty_submissions[submission_id] = None
        for name in run.created.limits:
            self._users.setdefault(name, {})[submission_id] = None
            limit = self._world.limits.get(name)
            if limit is not None and run.run_id in limit.holders:
                self._queue(submission_id).granted[run.run_id] = None

    def _queue(self, submission_id: str) -> SubmissionQueue:
        queue = self._queues.get(submission_id)
        if queue is None:
            queue = self._queues[submission_id] = SubmissionQueue()
        return queue

    def _blueprint(self, submission: SubmissionState) -> Blueprint | None:
        submission_id = submission.submission_id
        queue = self._queue(submission_id)
        if queue.blueprint is None and submission_id not in self.unreadable:
            try:
                queue.blueprint = self._blueprints.of(submission.accepted)
            except (CrucibleError, ValueError) as error:
                self.unreadable[submission_id] = str(error)
        return queue.blueprint

    def _plan_run(self, run: RunState, ready: Ready) -> Batches:
        self._stopping.note_use(run, self._now_s)
        batches = plan_releases(run, self._world.limits)
        for (released,) in batches:
            name = released.fields["limit"]
            self._permits.give_back(name, run.run_id)
            self._dirty_submissions.update(self._users.get(name, {}))
        if run.is_terminal:
            return batches
        submission = self._world.submission(run.created.submission_id)
        blueprint = self._blueprint(submission) if submission is not None else None
        if submission is None or blueprint is None:
            return batches
        if is_analysis(run):
            asked_for = self._analysis(submission, run.created.repeat)
            drafts = [] if asked_for is None else plan_run(run, submission, asked_for, ready)
            return [*batches, drafts] if drafts else batches
        opening = self._queue(submission.submission_id).opening
        if opening is not None and is_shut_out(run, opening):
            batches.append(plan_shut_out(run, opening))
            return batches
        stopped = self._stopping.plan_run(run, submission)
        drafts = (
            [stopped]
            if stopped is not None
            else plan_run(run, submission, blueprint, ready, self._sources.of(run, submission))
        )
        if drafts:
            batches.append(drafts)
        return batches

    def _plan_submission(self, submission: SubmissionState) -> Batches:
        queue = self._queue(submission.submission_id)
        analyses = plan_analyses(submission, queue.analyses, lambda number: self._analysis(submission, number))
        if submission.closed is not None and not queue.open_runs and not has_changed(submission, queue):
            return analyses
        blueprint = self._blueprint(submission)
        if blueprint is None:
            return []
        stopped = [[draft] for draft in self._stopping.plan(submission, queue, self._now_s)]
        may_start = not stopped and only_starts_stop(submission)
        created = [
            *self._plan_before(submission, blueprint),
            *self._plan_creation(submission, queue, blueprint, may_start=may_start),
            *self._plan_after(submission, queue, blueprint),
        ]
        started = self._plan_starts(submission, queue, blueprint) if may_start else []
        ended = [] if created else [[draft] for draft in plan_end(submission, queue)]
        return [*analyses, *created, *stopped, *started, *ended]

    def _plan_before(self, submission: SubmissionState, blueprint: Blueprint) -> Batches:
        """The run that has to complete before the grid starts."""
        if submission.closed is not None:
            return []
        return self._lacking(blueprint.experiment_run("before", 1), submission)

    def _plan_after(self, submission: SubmissionState, queue: SubmissionQueue, blueprint: Blueprint) -> Batches:
        """The run that follows the grid, once every run of it has ended and one of them has completed."""
        if submission.closed is not None or submission.cancel_reason is not None:
            return []
        if queue.created < submission.accepted.run_count or queue.has_open_grid or not queue.ended["completed"]:
            return []
        return self._lacking(blueprint.experiment_run("after", queue.analysis_number), submission)

    def _lacking(self, fields: Mapping[str, Any] | None, submission: SubmissionState) -> Batches:
        """The creation of a run, unless there is none to be made or it is there."""
        if fields is None or fields["run_id"] in self._world.runs:
            return []
        return [plan_created(fields, submission)]

    def _analysis(self, submission: SubmissionState, number: int) -> Blueprint | None:
        """What was asked for as the ``number``-th analysis, if that was read and this version can read it."""
        blueprint = self._blueprint(submission)
        if blueprint is None or not 0 < number <= len(submission.analyses):
            return None
        try:
            return blueprint.analysis(submission.analyses[number - 1])
        except (CrucibleError, ValueError) as error:
            self.unreadable[f"{submission.submission_id}, analysis {number}"] = str(error)
            return None

    def _plan_creation(
        self, submission: SubmissionState, queue: SubmissionQueue, blueprint: Blueprint, *, may_start: bool
    ) -> Batches:
        """Runs of the grid that are not there, each with its start if that needs no permit and workers have room."""
        if queue.created >= submission.accepted.run_count:
            return []
        runs = blueprint.runs
        batches: Batches = []
        may_start = may_start and submission.cancel_event_id is None and not _is_shut(queue, blueprint)
        while queue.next_created < len(runs) and len(batches) < CREATED_PER_PLAN:
            fields = runs[queue.next_created]
            queue.next_created += 1
            if fields["run_id"] not in self._world.runs:
                batches.append(plan_created(fields, submission))
                if may_start and queue.room > 0 and (run := as_created(batches[-1][0])) is not None:
                    started = plan_start(run, blueprint, self._sources.of(run, submission))
                    batches[-1].extend(started)
                    if started[-1].record_type is not RunCompleted:
                        queue.starting(run.run_id)
        if queue.next_created < len(runs):
            self._dirty_submissions[submission.submission_id] = None
        return batches

    def _plan_starts(self, submission: SubmissionState, queue: SubmissionQueue, blueprint: Blueprint) -> Batches:
        """Runs that have their permits, then others in grid order, as long as workers are not far behind.

        While the run before the grid has not completed, no other one starts.
        """
        batches: Batches = []
        is_shut = _is_shut(queue, blueprint)
        for run_id in list(queue.granted):
            run = self._world.runs[run_id]
            if not queue.is_pending(run_id) or inherits_cancel(run, submission):
                del queue.granted[run_id]
                continue
            if not is_shut or is_opening(run):
                batches.extend(self._plan_start(run, submission, queue, blueprint) or ())
        waiting: list[RunState] = []
        room = queue.room
        while room > 0 and len(batches) < STARTS_PER_PLAN and (next_id := queue.next_pending()) is not None:
            run = self._world.runs[next_id]
            if inherits_cancel(run, submission):
                continue
            if is_shut and not is_opening(run):
                waiting.append(run)
                break
            step = self._plan_start(run, submission, queue, blueprint)
            if queue.is_pending(next_id):
                waiting.append(run)
            if step is None:
                break
            batches.extend(step)
            room -= not (step and step[0][-1].record_type is RunCompleted)
        for run in waiting:
            queue.enqueue(run)
        return batches

    def _plan_start(
        self, run: RunState, submission: SubmissionState, queue: SubmissionQueue, blueprint: Blueprint
    ) -> Batches | None:
        """The start of a run, or the next permit that it needs; None if a limit is reached."""
        permits = self._permits.next_one(run, submission, blueprint)
        if permits or permits is None or not self._permits.holds_all(run):
            return permits
        queue.starting(run.run_id)
        return [plan_start(run, blueprint, self._sources.of(run, submission))]


def _is_shut(queue: SubmissionQueue, blueprint: Blueprint) -> bool:
    """Whether the grid may not start: the submission has a run before it that has not completed."""
    opening = queue.opening
    if opening is None:
        return blueprint.experiment_run("before", 1) is not None
    return opening.status != "completed"


def _take(names: dict[str, None], limit: int) -> Iterable[str]:
    """Up to ``limit`` names, oldest first, removed."""
    taken = list(itertools.islice(names, limit))
    for name in taken:
        del names[name]
    return taken
