"""When a submission is closed, and when it is opened again: what follows from where its runs stand."""

from __future__ import annotations

from crucible.canonical import derived_id
from crucible.records.record import Record
from crucible.records.run_events import SubmissionClosed, SubmissionReopened
from crucible.rules.draft import Draft
from crucible.rules.queue import SubmissionQueue
from crucible.rules.state import SubmissionState


def has_changed(submission: SubmissionState, queue: SubmissionQueue) -> bool:
    """Whether runs of a closed grid ran again and ended before anyone saw it: the run after it is to be made anew."""
    return submission.cancel_reason is None and queue.is_overtaken and queue.ended["completed"] > 0


def plan_end(submission: SubmissionState, queue: SubmissionQueue) -> list[Draft]:
    """The end of a submission whose runs have all ended; its reopening if one of them runs again."""
    accepted = submission.accepted
    shared = {"submission_id": accepted.submission_id, "experiment": accepted.experiment}
    if submission.closed is None and queue.created >= accepted.run_count and not queue.open_runs:
        fields = {**shared, "generation": submission.generation, **queue.ended, **queue.experiment_ended}
        return [_draft(submission, SubmissionClosed, submission.generation, fields)]
    if submission.closed is not None and (queue.open_runs or has_changed(submission, queue)):
        generation = submission.generation + 1
        fields = {**shared, "generation": generation}
        return [_draft(submission, SubmissionReopened, generation, fields)]
    return []


def _draft(submission: SubmissionState, record_type: type[Record], generation: int, fields: dict[str, object]) -> Draft:
    accepted = submission.accepted
    return Draft(
        record_type=record_type,
        event_id=derived_id(accepted.submission_id, record_type.__name__, generation),
        fields=fields,
        causation_id=accepted.event_id,
        correlation_id=accepted.correlation_id or accepted.event_id,
    )
