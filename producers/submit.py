"""Commands: send one and wait for its answer.

Whoever sends a command need not be the manager: the answer comes over the log, from whichever manager reads it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crucible.canonical import derived_id
from crucible.errors import StorageError, UsageError
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey
from crucible.records import (
    AddNote,
    AnalysisRequested,
    AnalyzeSubmission,
    CancelRun,
    CancelSubmission,
    ChangeBudget,
    ChangeTags,
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    PurgeRun,
    Record,
    ReportRequested,
    RequestReport,
    RetryRun,
    SetMark,
    SubmitExperiment,
)
from crucible.tail import Tail

ANSWER_TIMEOUT_S = 30.0
NOTE_BYTES_MAX = 4_096
POLL_S = 0.25

WHOLE_AND_NEW: Mapping[str, Any] = {
    "is_reusing": False,
    "selection_json": None,
    "reproduces": None,
    "dataset_files_json": "",
}
"""A submission that does not say otherwise is of the whole grid, and every stage of it is executed."""

Answer = CommandAccepted | CommandRejected | CommandObsolete


class Sender:
    """Sends commands to a log and waits for what a manager answers."""

    def __init__(self, journal: Journal, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        """Answers are waited for up to ``timeout_s``."""
        self._journal = journal
        self._timeout_s = timeout_s

    def send(self, *commands: Record) -> list[Answer]:
        """Append commands and return their answers, in order.

        Raises ``StorageError`` when an answer does not come in time: the commands stay on the log, and the next
        engine answers them.
        """
        log = self._journal.log
        events: list[PartitionKey] = [("events", part) for part in log.partitions("events")]
        ends = log.ends(events)
        tail = Tail(self._journal, ["events"], ends)
        self._journal.append_batches([[command] for command in commands])
        waiting = {command.event_id for command in commands}
        answers: dict[str, Answer] = {}
        deadline = self._journal.clock.monotonic() + self._timeout_s
        while waiting:
            if self._journal.clock.monotonic() > deadline:
                message = (
                    f"no manager answered {len(waiting)} of {len(commands)} commands within {self._timeout_s:g} s; "
                    "they stay on the log and the next engine answers them"
                )
                raise StorageError(message)
            for entry in tail.poll(POLL_S):
                record = entry.record
                if isinstance(record, Answer) and record.command_id in waiting:
                    waiting.discard(record.command_id)
                    answers[record.command_id] = record
        return [answers[command.event_id] for command in commands]

    def submit(self, fields: Mapping[str, Any], *, submission_id: str | None = None) -> str:
        """Submit an experiment and return its submission id. ``fields`` are those of ``SubmitExperiment``.

        Those of ``WHOLE_AND_NEW`` may be left out.

        Raises ``UsageError`` with what the manager found wrong.
        """
        chosen = submission_id or self._journal.ids.uuid7()
        command = self._journal.make(SubmitExperiment, submission_id=chosen, **{**WHOLE_AND_NEW, **fields})
        refuse_rejected(self.send(command))
        return chosen

    def cancel_run(self, run_id: str, reason: str) -> Answer:
        """Stop a run."""
        return self._one(self._journal.make(CancelRun, run_id=run_id, reason=reason))

    def cancel_submission(self, experiment: str, submission_id: str, reason: str) -> Answer:
        """Stop every unfinished run of a submission."""
        make = self._journal.make
        return self._one(make(CancelSubmission, experiment=experiment, submission_id=submission_id, reason=reason))

    def change_budget(self, experiment: str, submission_id: str, budget_json: str) -> Answer:
        """Change what a submission may use. Raises ``UsageError`` with everything that is wrong with it."""
        command = self._journal.make(
            ChangeBudget, experiment=experiment, submission_id=submission_id, budget_json=budget_json
        )
        return self._one(command)

    def retry_runs(self, run_ids: Sequence[str], from_stage: str | None) -> list[Answer]:
        """Run failed or canceled runs again, each from ``from_stage`` or the stage that did not complete."""
        commands = [self._journal.make(RetryRun, run_id=run_id, from_stage=from_stage) for run_id in run_ids]
        return self.send(*commands)

    def purge_runs(self, run_ids: Sequence[str], reason: str) -> list[Answer]:
        """Remove what ended runs have made, for good."""
        return self.send(*(self._journal.make(PurgeRun, run_id=run_id, reason=reason) for run_id in run_ids))

    def change_tags(self, kind: str, subject_id: str, added: Sequence[str], removed: Sequence[str]) -> Answer:
        """Add and remove tags of a run or a submission."""
        make = self._journal.make
        command = make(ChangeTags, subject_kind=kind, subject_id=subject_id, added=list(added), removed=list(removed))
        return self._one(command)

    def add_note(self, kind: str, subject_id: str, text: str) -> Answer:
        """Attach a note of at most 4,096 bytes to a run or a submission."""
        if len(text.encode()) > NOTE_BYTES_MAX:
            message = f"the note has {len(text.encode())} bytes; at most {NOTE_BYTES_MAX}"
            raise UsageError(message)
        return self._one(self._journal.make(AddNote, subject_kind=kind, subject_id=subject_id, text=text))

    def analyze(self, submission_id: str, experiment: str, options_json: str) -> str:
        """Ask for a further analysis of a submission that has ended; returns the event_id of the request."""
        command = self._journal.make(
            AnalyzeSubmission, submission_id=submission_id, experiment=experiment, options_json=options_json
        )
        self._one(command)
        return derived_id(command.event_id, AnalysisRequested.__name__, 0)

    def set_mark(self, name: str) -> Answer:
        """Name the present position; once set, a mark stays."""
        return self._one(self._journal.make(SetMark, name=name))

    def request_report(self, kind: str, subject_id: str, formats: Sequence[str]) -> str:
        """Ask for a report of a run or a submission as it is now; returns the report's id."""
        make = self._journal.make
        command = make(
            RequestReport, subject_kind=kind, subject_id=subject_id, formats=list(formats), is_at_close=False
        )
        self._one(command)
        return derived_id(command.event_id, ReportRequested.__name__, 0)

    def _one(self, command: Record) -> Answer:
        (answer,) = self.send(command)
        refuse_rejected([answer])
        return answer


def refuse_rejected(answers: Sequence[Answer]) -> None:
    """Raise ``UsageError`` with every problem of every rejected command."""
    errors = [error for answer in answers if isinstance(answer, CommandRejected) for error in answer.errors]
    if errors:
        raise UsageError("\n".join(errors))
