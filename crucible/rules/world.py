"""Everything that the events of a log add up to: one fold for manager, worker, reaper and read model.

An event goes to the aggregate of its key, and no aggregate looks at another: the result is the same in whatever
order the partitions of the log are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crucible.records.limit_events import BreakerOpened, BudgetChanged, BudgetExceeded
from crucible.records.log_events import (
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    LogArchived,
    LogCreated,
    MarkSet,
    NoteAdded,
    PermitGranted,
    PermitReleased,
    ReportRequested,
    TagsChanged,
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
from crucible.rules import (
    evolve_experiment,
    evolve_labels,
    evolve_limit,
    evolve_log,
    evolve_mark,
    evolve_run,
    evolve_worker,
)
from crucible.rules.answers import Answer
from crucible.rules.draft import Void
from crucible.rules.evolve_claim import CLAIM_EVOLVERS
from crucible.rules.evolve_stage import STAGE_EVOLVERS
from crucible.rules.state import (
    Answered,
    ExperimentState,
    LabelState,
    LimitState,
    LogState,
    MarkState,
    RunState,
    SubmissionState,
    WorkerState,
    changed,
)

EXPERIMENT_COMMANDS = frozenset({"SubmitExperiment", "CancelSubmission", "ChangeBudget", "AnalyzeSubmission"})
"""Commands whose key is an experiment."""
MARK_COMMANDS = frozenset({"SetMark"})
"""Commands whose key is the name of a mark."""

_RUN_EVENTS: tuple[type[Record], ...] = (
    RunStarted,
    RunCompleted,
    RunFailed,
    RunCancelRequested,
    RunCanceled,
    RunReopened,
    RunPurged,
    *STAGE_EVOLVERS,
    *CLAIM_EVOLVERS,
)
_EXPERIMENT_EVENTS: tuple[type[Record], ...] = (
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
    AnalysisRequested,
    BudgetExceeded,
    BudgetChanged,
    BreakerOpened,
)


class World:
    """All aggregates by key. For one thread."""

    def __init__(self) -> None:
        self.runs: dict[str, RunState] = {}
        self.experiments: dict[str, ExperimentState] = {}
        self.limits: dict[str, LimitState] = {}
        self.workers: dict[str, WorkerState] = {}
        self.present: Mapping[str, WorkerState] = {}
        """Workers that have not stopped: another mapping whenever one starts or stops."""
        self.marks: dict[str, MarkState] = {}
        self.labels: dict[str, LabelState] = {}
        self.log = LogState()
        self._experiment_of: dict[str, str] = {}
        folds: dict[type[Record], Callable[[Any], Void | None]] = {
            **dict.fromkeys(_RUN_EVENTS, self._run),
            **dict.fromkeys(_EXPERIMENT_EVENTS, self._experiment),
            RunCreated: self._run_created,
            PermitGranted: self._limit,
            PermitReleased: self._limit,
            WorkerStarted: self._worker,
            WorkerStopped: self._worker,
            MarkSet: self._mark,
            LogCreated: self._log,
            LogArchived: self._log,
            TagsChanged: self._label,
            NoteAdded: self._label,
            CommandAccepted: self._answer,
            CommandRejected: self._answer,
            CommandObsolete: self._answer,
            ReportRequested: self._label,
        }
        self._folds = folds

    @property
    def log_id(self) -> str | None:
        """The identity of the log, once it was read."""
        return self.log.created.log_id if self.log.created is not None else None

    def apply(self, event: Record) -> Void | None:
        """Fold one event in. None: it was applied; else why it is void."""
        fold = self._folds.get(type(event))
        if fold is None:
            return Void("no event")
        return fold(event)

    def submission(self, submission_id: str) -> SubmissionState | None:
        """A submission by its id."""
        name = self._experiment_of.get(submission_id)
        return self.experiments[name].submissions[submission_id] if name is not None else None

    def answers(self, command_type: str, subject_id: str) -> Answered | None:
        """The aggregate that answers commands of this type and key; None if it has answered none."""
        if command_type in EXPERIMENT_COMMANDS:
            return self.experiments.get(subject_id)
        if command_type in MARK_COMMANDS:
            return self.marks.get(subject_id)
        return self.runs.get(subject_id) or self.labels.get(subject_id)

    def is_answered(self, command: Record) -> bool:
        """Whether a command has its one answer."""
        answers = self.answers(type(command).__name__, command.key)
        return answers is not None and command.event_id in answers.answered

    def _run(self, event: Any) -> Void | None:
        run_id = event.run_id
        state = evolve_run.evolve(self.runs.get(run_id), event)
        if isinstance(state, Void):
            return state
        self.runs[run_id] = state
        return None

    def _run_created(self, event: RunCreated) -> Void | None:
        state = evolve_run.evolve(self.runs.get(event.run_id), event, self.labels.get(event.run_id))
        if isinstance(state, Void):
            return state
        self.runs[event.run_id] = state
        return None

    def _experiment(self, event: Any) -> Void | None:
        name = event.experiment
        state = evolve_experiment.evolve(self.experiments.get(name), event)
        if isinstance(state, Void):
            return state
        self.experiments[name] = state
        if type(event) is SubmissionAccepted:
            self._experiment_of[event.submission_id] = name
            self._join_labels(event.submission_id)
        return None

    def _limit(self, event: PermitGranted | PermitReleased) -> Void | None:
        state = evolve_limit.evolve(self.limits.get(event.limit), event)
        if isinstance(state, Void):
            return state
        self.limits[event.limit] = state
        return None

    def _worker(self, event: WorkerStarted | WorkerStopped) -> Void | None:
        state = evolve_worker.evolve(self.workers.get(event.worker_id), event)
        if isinstance(state, Void):
            return state
        self.workers[event.worker_id] = state
        others = {worker_id: worker for worker_id, worker in self.present.items() if worker_id != event.worker_id}
        self.present = others if state.stopped is not None else {**others, event.worker_id: state}
        return None

    def _mark(self, event: Record) -> Void | None:
        state = evolve_mark.evolve(self.marks.get(event.key), event)
        if isinstance(state, Void):
            return state
        self.marks[event.key] = state
        return None

    def _log(self, event: Record) -> Void | None:
        state = evolve_log.evolve(self.log, event)
        if isinstance(state, Void):
            return state
        self.log = state
        return None

    def _label(self, event: TagsChanged | NoteAdded | ReportRequested) -> Void | None:
        if event.subject_kind == "run":
            state = evolve_run.evolve(self.runs.get(event.subject_id), event)
            if isinstance(state, Void):
                return state
            self.runs[event.subject_id] = state
            return None
        return self._other(event)

    def _other(self, event: Record) -> Void | None:
        state = evolve_labels.evolve(self.labels.get(event.key), event)
        if isinstance(state, Void):
            return state
        self.labels[event.key] = state
        self._join_labels(event.key)
        return None

    def _answer(self, event: Answer) -> Void | None:
        if event.command_type in EXPERIMENT_COMMANDS:
            state = evolve_experiment.evolve(self.experiments.get(event.subject_id), event)
            if isinstance(state, Void):
                return state
            self.experiments[event.subject_id] = state
            return None
        if event.command_type in MARK_COMMANDS:
            return self._mark(event)
        if event.subject_id in self.runs:
            return self._run_answer(event)
        return self._other(event)

    def _run_answer(self, event: Answer) -> Void | None:
        state = evolve_run.evolve(self.runs[event.subject_id], event)
        if isinstance(state, Void):
            return state
        self.runs[event.subject_id] = state
        return None

    def _join_labels(self, submission_id: str) -> None:
        """Show a submission's labels on it: they have another key, so either may come first."""
        labels = self.labels.get(submission_id)
        submission = self.submission(submission_id)
        if labels is None or submission is None:
            return
        experiment = self.experiments[submission.accepted.experiment]
        joined = changed(submission, tags=labels.tags, notes=labels.notes)
        submissions = {**experiment.submissions, submission_id: joined}
        self.experiments[experiment.name] = changed(experiment, submissions=submissions)
