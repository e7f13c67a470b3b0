"""What applied events change beside the rows of their run: submissions, experiments, tags, notes, answers, reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from crucible.projections.aggregates import Aggregates
from crucible.projections.analysis_rows import planned_rows
from crucible.projections.buffer import Buffer
from crucible.projections.experiment_rows import (
    breaker_rows,
    budget_rows,
    declaration_rows,
    definition_of,
    experiment_row,
    submission_row,
    target_rows,
)
from crucible.projections.payload import Moment, json_text
from crucible.projections.run_tables import RunTables
from crucible.projections.tables_log import JUDGED_TABLES
from crucible.records.limit_events import BreakerOpened, BudgetChanged, BudgetExceeded
from crucible.records.log_events import (
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    NoteAdded,
    ReportRequested,
    TagsChanged,
)
from crucible.records.record import Record
from crucible.records.run_events import (
    RunPurged,
    RunReopened,
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
)
from crucible.records.stage_events import StageRequested

_SUBMISSION_EVENTS = (
    SubmissionAccepted,
    SubmissionCancelRequested,
    SubmissionClosed,
    SubmissionReopened,
    BudgetExceeded,
    BudgetChanged,
    BreakerOpened,
)
_ANSWERS: dict[type[Record], str] = {
    CommandAccepted: "accepted",
    CommandRejected: "rejected",
    CommandObsolete: "obsolete",
}


class Effects:
    """Notes what events change, and writes it with the next commit. For one thread."""

    def __init__(self, buffer: Buffer, aggregates: Aggregates, runs: RunTables) -> None:
        self._buffer = buffer
        self._aggregates = aggregates
        self._runs = runs
        self._submissions: dict[str, set[str]] = defaultdict(set)
        self._tags: set[tuple[str, str]] = set()
        self._has_news = False
        self._effects: dict[type[Record], Callable[[Any, Moment], None]] = {
            **dict.fromkeys(_SUBMISSION_EVENTS, self._note_submission),
            **dict.fromkeys(_ANSWERS, self._note_answer),
            RunReopened: self._note_run_reopened,
            RunPurged: self._note_purge,
            StageRequested: self._note_request,
            TagsChanged: self._note_tags,
            NoteAdded: self._note_note,
            ReportRequested: self._note_report,
        }

    def note(self, event: Record, at: Moment) -> None:
        """An event that happened at ``at`` was applied."""
        effect = self._effects.get(type(event))
        if effect is not None:
            effect(event, at)

    def write(self) -> bool:
        """Put what changed into the buffer; True if something was closed, purged or asked for."""
        self._write_experiments()
        self._write_tags()
        has_news, self._has_news = self._has_news, False
        return has_news

    def _note_submission(self, event: Any, _at: Moment) -> None:
        self._submissions[event.experiment].add(event.submission_id)
        self._has_news |= isinstance(event, SubmissionClosed)
        if isinstance(event, SubmissionReopened):
            self._forget_judgement(event.submission_id)

    def _note_run_reopened(self, event: RunReopened, _at: Moment) -> None:
        run = self._aggregates.run(event.run_id)
        assert run is not None
        self._forget_judgement(run.created.submission_id)

    def _note_purge(self, _event: RunPurged, _at: Moment) -> None:
        self._has_news = True

    def _note_request(self, event: StageRequested, _at: Moment) -> None:
        self._runs.touch_summary(event.run_id, event.stage)

    def _note_tags(self, event: TagsChanged, _at: Moment) -> None:
        self._tags.add((event.subject_kind, event.subject_id))

    def _note_note(self, event: NoteAdded, at: Moment) -> None:
        note = (event.subject_kind, event.subject_id, event.text, event.actor, at, event.event_id)
        self._buffer.insert("notes", note)

    def _note_report(self, event: ReportRequested, _at: Moment) -> None:
        asked = (event.event_id, event.subject_kind, event.subject_id, event.position)
        self._buffer.insert("reports", (*asked, json_text(list(event.formats)), None, None, None))
        self._has_news = True

    def _note_answer(self, event: Any, at: Moment) -> None:
        reasons = event.errors if isinstance(event, CommandRejected) else []
        reasons = [event.reason] if isinstance(event, CommandObsolete) else reasons
        answer = _ANSWERS[type(event)]
        row = (event.command_id, answer, json_text(list(reasons)), at, event.event_id)
        self._buffer.insert("command_answers", row)

    def _forget_judgement(self, submission_id: str) -> None:
        """What was judged goes when the submission or a run of it is reopened: it follows from its present state."""
        for table in JUDGED_TABLES:
            self._buffer.replace(table, "submission_id", submission_id, [])

    def _write_experiments(self) -> None:
        for name, submission_ids in self._submissions.items():
            experiment = self._aggregates.experiment(name)
            if experiment is None:
                continue
            self._buffer.replace("experiments", "experiment", name, [experiment_row(experiment)])
            for submission_id in sorted(submission_ids):
                submission = experiment.submissions[submission_id]
                for table, rows in (
                    ("submissions", [submission_row(submission)]),
                    ("metric_declarations", list(declaration_rows(submission))),
                    ("declared_targets", list(target_rows(submission))),
                    ("planned_tests", list(planned_rows(submission, definition_of(submission)))),
                    ("budget_limits", list(budget_rows(submission))),
                    ("breakers", list(breaker_rows(submission))),
                ):
                    self._buffer.replace(table, "submission_id", submission_id, rows)
        self._submissions.clear()

    def _write_tags(self) -> None:
        for kind, subject_id in self._tags:
            state = self._aggregates.run(subject_id) if kind == "run" else self._aggregates.labels(subject_id)
            tags = sorted(state.tags) if state is not None else []
            self._buffer.replace("tags", "subject_id", subject_id, [(kind, subject_id, tag) for tag in tags])
        self._tags.clear()
