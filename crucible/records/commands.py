"""Commands: what people want. Each is answered by exactly one event."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.records.record import Record, record


@record(topic="commands", key="experiment")
class SubmitExperiment(Record):
    """Run this experiment's grid."""

    submission_id: str
    """UUIDv7 of the submission."""
    namespace: str
    """Namespace (team)."""
    experiment: str
    """Experiment name."""
    definition_json: str
    """The whole definition, canonical JSON."""
    definition_digest: str
    """SHA-256 of definition_json."""
    recipe_digest: str
    """SHA-256 of what decides results."""
    code_path: str | None
    """File that defines the experiment on the submitting host."""
    code_digest: str
    """Digest of the project's code."""
    code_blob: str | None
    """Digest of the code bundle, if it was stored."""
    environment_json: str
    """Packages, CPU, threads, argv: canonical JSON."""
    output_dir: str
    """Folder for run folders."""
    is_smoke: bool
    """A smoke test: first cell, one repeat, five steps."""
    is_reusing: bool
    """Finished stages with the same key stand for those of this submission."""
    selection_json: str | None
    """Part of the grid: {grid_indexes, stage} as canonical JSON; null: all of it."""
    reproduces: str | None
    """Submission whose runs are run again and compared; null: none."""
    dataset_files_json: str
    """SHA-256 of each dataset's file that no digest pins, by dataset name, as found at submission: canonical JSON."""


@record(topic="commands", key="experiment")
class CancelSubmission(Record):
    """Stop every unfinished run of a submission."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    reason: str
    """Why."""


@record(topic="commands", key="experiment")
class ChangeBudget(Record):
    """Change what a submission may use."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    budget_json: str
    """New limits by kind (time_s, cost, runs), canonical JSON; a kind that is not named stays."""


@record(topic="commands", key="experiment")
class AnalyzeSubmission(Record):
    """Analyse a submission that has ended again, beside what was found before."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    options_json: str
    """Options of the built-in stage analysis, canonical JSON."""


@record(topic="commands", key="run_id")
class CancelRun(Record):
    """Stop a run."""

    run_id: str
    """The run."""
    reason: str
    """Why."""


@record(topic="commands", key="run_id")
class RetryRun(Record):
    """Run a failed or canceled run again from a stage."""

    run_id: str
    """The run."""
    from_stage: str | None
    """First stage to run again; null: the one that did not complete."""


@record(topic="commands", key="subject_id")
class ChangeTags(Record):
    """Add and remove tags."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    added: Sequence[str]
    """Tags to add."""
    removed: Sequence[str]
    """Tags to remove."""


@record(topic="commands", key="subject_id")
class AddNote(Record):
    """Attach a note."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    text: str
    """The note, at most 4,096 bytes."""


@record(topic="commands", key="run_id")
class PurgeRun(Record):
    """Forget a run's blobs."""

    run_id: str
    """The run."""
    reason: str
    """Why."""


@record(topic="commands", key="name")
class SetMark(Record):
    """Name the present position."""

    name: str
    """Name of the mark."""


@record(topic="commands", key="subject_id")
class RequestReport(Record):
    """Render a report of a run or a submission as it is now."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    formats: Sequence[str]
    """Formats: html, md, tex, ipynb, csv, json."""
    is_at_close: bool
    """Wait for the end of the submission: the answer comes when all of its runs have ended."""
