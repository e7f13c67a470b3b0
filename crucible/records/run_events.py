"""Events of submissions and runs."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.records.record import Record, record


@record(topic="events", key="experiment")
class SubmissionAccepted(Record):
    """A grid of runs is to be run."""

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
    number: int
    """Number of the submission within its experiment, from 1."""
    run_count: int
    """How many runs the submission has."""
    is_reusing: bool
    """Finished stages with the same key stand for those of this submission."""
    selection_json: str | None
    """Part of the grid: {grid_indexes, stage} as canonical JSON; null: all of it."""
    reproduces: str | None
    """Submission whose runs are run again and compared; null: none."""
    dataset_files_json: str
    """SHA-256 of each dataset's file that no digest pins, by dataset name, as found at submission: canonical JSON."""


@record(topic="events", key="experiment")
class SubmissionCancelRequested(Record):
    """Every unfinished run of the submission is to be canceled."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    reason: str
    """Why."""


@record(topic="events", key="experiment")
class SubmissionClosed(Record):
    """Every run of the submission has ended."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    generation: int
    """How often it was closed, from 1."""
    completed: int
    """Runs completed."""
    failed: int
    """Runs failed."""
    canceled: int
    """Runs canceled."""
    experiment_failed: int
    """Runs of scope experiment that failed, as far as they count."""
    experiment_canceled: int
    """Runs of scope experiment that were canceled, as far as they count."""


@record(topic="events", key="experiment")
class SubmissionReopened(Record):
    """A run of a closed submission runs again."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    generation: int
    """Generation that begins, from 2."""


@record(topic="events", key="experiment")
class AnalysisRequested(Record):
    """A further analysis of a submission is to be made."""

    submission_id: str
    """The submission."""
    experiment: str
    """Experiment name."""
    options_json: str
    """Options of the built-in stage analysis, canonical JSON."""


@record(topic="events", key="run_id")
class RunCreated(Record):
    """A cell of a grid and one repeat of it."""

    run_id: str
    """The run."""
    submission_id: str
    """The submission."""
    namespace: str
    """Namespace (team)."""
    experiment: str
    """Experiment name."""
    ref: str
    """What people write: name#number/label.repeat."""
    label: str
    """Shortest unique abbreviation of the varied parameters."""
    cell_id: str
    """Digest of recipe and parameters."""
    cell_index: int
    """Index of the cell in the grid, from 0."""
    grid_index: int
    """Index of the run in the grid, from 0."""
    repeat: int
    """Repeat of the cell, from 1."""
    params_json: str
    """Parameters of the cell, canonical JSON."""
    seed: int
    """Seed of the repeat, the same for every cell."""
    stages: Sequence[str]
    """Stage names in order."""
    retries_max: Sequence[int]
    """For each stage, how often a transient failure is retried."""
    limits: Sequence[str]
    """Limits of which the run needs a permit."""
    output_dir: str
    """Folder for run folders."""
    is_smoke: bool
    """Part of a smoke test."""
    scope: str
    """run: a cell of the grid; experiment: the submission as a whole, before or after its grid."""


@record(topic="events", key="run_id")
class RunStarted(Record):
    """The run has begun."""

    run_id: str
    """The run."""
    generation: int
    """Generation of the run that begins, from 1."""


@record(topic="events", key="run_id")
class RunCompleted(Record):
    """Every stage completed."""

    run_id: str
    """The run."""
    generation: int
    """How often the run was ended, from 1."""


@record(topic="events", key="run_id")
class RunFailed(Record):
    """A stage failed for good."""

    run_id: str
    """The run."""
    generation: int
    """How often the run was ended, from 1."""
    stage: str
    """The stage that failed."""
    reason: str
    """In one line."""


@record(topic="events", key="run_id")
class RunCancelRequested(Record):
    """The run is to stop."""

    run_id: str
    """The run."""
    reason: str
    """Why."""


@record(topic="events", key="run_id")
class RunCanceled(Record):
    """The run was stopped."""

    run_id: str
    """The run."""
    generation: int
    """How often the run was ended, from 1."""
    reason: str
    """Why."""


@record(topic="events", key="run_id")
class RunReopened(Record):
    """A failed or canceled run runs again."""

    run_id: str
    """The run."""
    generation: int
    """Generation that begins, from 2."""
    from_stage: str
    """First stage to run again."""


@record(topic="events", key="run_id")
class RunPurged(Record):
    """The run's blobs were removed."""

    run_id: str
    """The run."""
    reason: str
    """Why."""
    blobs: Sequence[str]
    """Digests removed."""
