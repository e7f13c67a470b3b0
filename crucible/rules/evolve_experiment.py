"""The fold of an experiment: its submissions, their numbers, their end and their reopening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crucible.records.limit_events import BreakerOpened, BudgetChanged, BudgetExceeded
from crucible.records.log_events import CommandAccepted, CommandObsolete, CommandRejected
from crucible.records.record import Record
from crucible.records.run_events import (
    AnalysisRequested,
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
)
from crucible.rules.answers import Answer, answer, check_effect
from crucible.rules.budget import limits_of
from crucible.rules.draft import Void
from crucible.rules.state import ExperimentState, SubmissionState, changed


def evolve(state: ExperimentState | None, event: Record) -> ExperimentState | Void:
    """The experiment after ``event``, or why the event is void. Total."""
    evolver = _EVOLVERS.get(type(event))
    if evolver is None:
        return Void("no event of an experiment")
    return evolver(state if state is not None else ExperimentState(name=event.key), event)


def _with(experiment: ExperimentState, submission: SubmissionState, **changes: Any) -> ExperimentState:
    submissions = {**experiment.submissions, submission.submission_id: submission}
    return changed(experiment, submissions=submissions, **changes)


def _accepted(experiment: ExperimentState, event: SubmissionAccepted) -> ExperimentState | Void:
    if event.submission_id in experiment.submissions:
        return Void("the submission exists")
    if event.number != experiment.number_last + 1:
        return Void("the number is not the next one")
    if void := check_effect(experiment, event):
        return void
    return _with(experiment, SubmissionState(accepted=event), number_last=event.number)


def _cancel_requested(experiment: ExperimentState, event: SubmissionCancelRequested) -> ExperimentState | Void:
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if submission.closed is not None:
        return Void("the submission is closed")
    if submission.cancel_reason is not None:
        return Void("the submission is to be canceled")
    if event.causation_id in submission.lifted:
        return Void("what stopped the submission does no more")
    if void := check_effect(experiment, event):
        return void
    canceled = changed(submission, cancel_reason=event.reason, cancel_event_id=event.event_id)
    return _with(experiment, canceled, effects=experiment.effects | {event.event_id})


def _closed(experiment: ExperimentState, event: SubmissionClosed) -> ExperimentState | Void:
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if submission.closed is not None:
        return Void("the submission is closed")
    if event.generation != submission.generation:
        return Void("of another generation")
    return _with(experiment, changed(submission, closed=event))


def _reopened(experiment: ExperimentState, event: SubmissionReopened) -> ExperimentState | Void:
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if submission.closed is None:
        return Void("the submission is open")
    if event.generation != submission.generation + 1:
        return Void("of another generation")
    reopened = changed(
        submission,
        closed=None,
        generation=event.generation,
        cancel_reason=None,
        cancel_event_id=None,
        stops=(),
        lifted=submission.lifted | {stop.event_id for stop in submission.stops},
    )
    return _with(experiment, reopened)


def _budget_exceeded(experiment: ExperimentState, event: BudgetExceeded) -> ExperimentState | Void:
    submission = _to_be_stopped(experiment, event)
    if isinstance(submission, Void):
        return submission
    if any(isinstance(stop, BudgetExceeded) and stop.kind == event.kind for stop in submission.stops):
        return Void("the budget is known to be spent")
    if submission.limits.get(event.kind, event.allowed) != event.allowed:
        return Void("the budget was changed")
    return _with(experiment, changed(submission, stops=(*submission.stops, event)))


def _budget_changed(experiment: ExperimentState, event: BudgetChanged) -> ExperimentState | Void:
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if void := check_effect(experiment, event):
        return void
    limits = limits_of(event.budget_json)
    lifted = {s.event_id for s in submission.stops if isinstance(s, BudgetExceeded) and s.kind in limits}
    renewed = changed(
        submission,
        limits={**submission.limits, **limits},
        stops=tuple(stop for stop in submission.stops if stop.event_id not in lifted),
        lifted=submission.lifted | lifted,
    )
    return _with(experiment, renewed, effects=experiment.effects | {event.event_id})


def _breaker_opened(experiment: ExperimentState, event: BreakerOpened) -> ExperimentState | Void:
    submission = _to_be_stopped(experiment, event)
    if isinstance(submission, Void):
        return submission
    if any(isinstance(stop, BreakerOpened) for stop in submission.stops):
        return Void("the breaker is open")
    return _with(experiment, changed(submission, stops=(*submission.stops, event)))


def _to_be_stopped(experiment: ExperimentState, event: BudgetExceeded | BreakerOpened) -> SubmissionState | Void:
    """The submission that an event is to stop, or why it can't."""
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if submission.closed is not None:
        return Void("the submission is closed")
    if event.generation != submission.generation:
        return Void("of another generation")
    if event.event_id in submission.lifted:
        return Void("a repeat")
    return submission


def _analysis_requested(experiment: ExperimentState, event: AnalysisRequested) -> ExperimentState | Void:
    submission = experiment.submissions.get(event.submission_id)
    if submission is None:
        return Void("the submission does not exist")
    if void := check_effect(experiment, event):
        return void
    asked = changed(submission, analyses=(*submission.analyses, event))
    return _with(experiment, asked, effects=experiment.effects | {event.event_id})


def _answered(experiment: ExperimentState, event: Answer) -> ExperimentState | Void:
    return answer(experiment, event)


_EVOLVERS: dict[type[Record], Callable[[ExperimentState, Any], ExperimentState | Void]] = {
    SubmissionAccepted: _accepted,
    SubmissionCancelRequested: _cancel_requested,
    SubmissionClosed: _closed,
    SubmissionReopened: _reopened,
    BudgetExceeded: _budget_exceeded,
    BudgetChanged: _budget_changed,
    BreakerOpened: _breaker_opened,
    AnalysisRequested: _analysis_requested,
    CommandAccepted: _answered,
    CommandRejected: _answered,
    CommandObsolete: _answered,
}
