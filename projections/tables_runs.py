"""Tables of what was asked for and what became of it: experiments, submissions, runs, stages, attempts, claims."""

from __future__ import annotations

from crucible.projections.columns import ATTEMPT, CLAIM_ID, EVENT_ID, IS_EFFECTIVE, RUN_ID, RUN_NO, STAGE, Column, Table

EXPERIMENTS = Table(
    "experiments",
    "An experiment by name, as its newest submission describes it.",
    (
        Column("experiment", "VARCHAR", "name"),
        Column("namespace", "VARCHAR", "team"),
        Column("description", "VARCHAR", "what it is for"),
        Column("owner", "VARCHAR", "who answers for it"),
        Column("version", "VARCHAR", "version in its author's own counting"),
        Column("tags", "JSON", "words to find it by"),
        Column("submissions", "INTEGER", "how many grids were accepted"),
        Column("created_at", "TIMESTAMP", "first submission, UTC"),
        Column("last_submitted_at", "TIMESTAMP", "newest submission, UTC"),
    ),
)

SUBMISSIONS = Table(
    "submissions",
    "A grid of runs that was accepted.",
    (
        Column("submission_id", "VARCHAR", "UUIDv7"),
        Column("experiment", "VARCHAR", "name of the experiment"),
        Column("namespace", "VARCHAR", "team"),
        Column("number", "INTEGER", "number within the experiment, from 1"),
        Column(
            "status", "VARCHAR", "running, canceling, completed, failed or canceled; runs of scope experiment count"
        ),
        Column("generation", "INTEGER", "1, and one more each time that it was reopened"),
        Column("run_count", "INTEGER", "runs of the grid"),
        Column("completed", "INTEGER", "runs completed when it was closed"),
        Column("failed", "INTEGER", "runs failed when it was closed"),
        Column("canceled", "INTEGER", "runs canceled when it was closed"),
        Column("experiment_failed", "INTEGER", "runs of scope experiment failed when it was closed"),
        Column("experiment_canceled", "INTEGER", "runs of scope experiment canceled when it was closed"),
        Column("cancel_reason", "VARCHAR", "why it was to stop"),
        Column("select_metric", "VARCHAR", "metric by which the best cell is chosen"),
        Column("margin", "DOUBLE", "difference in that metric that does not matter"),
        Column("seed", "BIGINT", "seed of the experiment"),
        Column("repeats", "INTEGER", "repeats of each cell"),
        Column("is_smoke", "BOOLEAN", "a smoke test"),
        Column("definition", "JSON", "the whole definition"),
        Column("definition_digest", "VARCHAR", "SHA-256 of the definition"),
        Column("recipe_digest", "VARCHAR", "SHA-256 of what decides results"),
        Column("code_path", "VARCHAR", "file that defines the experiment"),
        Column("code_digest", "VARCHAR", "digest of the project's code"),
        Column("code_blob", "VARCHAR", "digest of the code bundle"),
        Column("environment", "JSON", "packages, CPU, threads, command line"),
        Column("output_dir", "VARCHAR", "folder for run folders"),
        Column("actor", "VARCHAR", "the manager that accepted it; commands names who asked for it"),
        Column("submitted_at", "TIMESTAMP", "UTC"),
        Column("closed_at", "TIMESTAMP", "when every run had ended, UTC"),
        EVENT_ID,
    ),
)

RUNS = Table(
    "runs",
    "A cell of a grid and one repeat of it; and, of scope experiment, what is done once before or after a grid.",
    (
        RUN_NO,
        RUN_ID,
        Column("ref", "VARCHAR", "what people write: experiment#number/label.repeat"),
        Column("experiment", "VARCHAR", "name of the experiment"),
        Column("namespace", "VARCHAR", "team"),
        Column("submission_id", "VARCHAR", "the submission"),
        Column(
            "scope", "VARCHAR", "run: a cell of the grid; experiment: the submission as a whole; counts leave it out"
        ),
        Column("number", "INTEGER", "number of the submission within its experiment"),
        Column("label", "VARCHAR", "shortest unique abbreviation of the varied parameters"),
        Column("cell_id", "VARCHAR", "digest of recipe and parameters"),
        Column("cell_index", "INTEGER", "index of the cell in the grid, from 0; null: of scope experiment"),
        Column("grid_index", "INTEGER", "index of the run in the grid, from 0; null: of scope experiment"),
        Column("repeat", "INTEGER", "repeat of the cell, from 1; of scope experiment, which time it is"),
        Column("seed", "BIGINT", "seed of the repeat, the same for every cell"),
        Column("params", "JSON", "parameters of the cell; the table params holds them as rows"),
        Column("status", "VARCHAR", "pending, running, completed, failed or canceled"),
        Column("reason", "VARCHAR", "why it failed or was canceled"),
        Column("generation", "INTEGER", "1, and one more each time that it was reopened"),
        Column("stage", "VARCHAR", "stage that runs, or ran last"),
        Column("stages_done", "INTEGER", "stages with a result"),
        Column("stage_count", "INTEGER", "stages in all"),
        Column("is_smoke", "BOOLEAN", "part of a smoke test"),
        Column("is_simulated", "BOOLEAN", "an adapter of one of its stages simulates"),
        Column("is_purged", "BOOLEAN", "its blobs were removed"),
        Column("is_complete", "BOOLEAN", "it has ended, and all telemetry that its stages logged is here"),
        Column("dead_letters", "INTEGER", "records of this run that could not be applied"),
        Column("output_dir", "VARCHAR", "folder for run folders"),
        Column("folder", "VARCHAR", "folder of the run below it"),
        Column("created_at", "TIMESTAMP", "UTC"),
        Column("started_at", "TIMESTAMP", "first start, UTC"),
        Column("ended_at", "TIMESTAMP", "newest end, UTC; null while it is pending or running"),
    ),
)

PARAMS = Table(
    "params",
    "The parameters of runs, a row each.",
    (
        RUN_NO,
        RUN_ID,
        Column("name", "VARCHAR", "stage.option, or the bare option"),
        Column("value", "VARCHAR", "as text: strings as they are, everything else as JSON"),
        Column("number", "DOUBLE", "as a number, if it is one"),
    ),
)

STAGES = Table(
    "stages",
    "A stage of a run, as its newest attempt left it.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        Column("stage_index", "INTEGER", "from 0"),
        Column("stage_type", "VARCHAR", "built-in name, module:function or command"),
        Column("status", "VARCHAR", "waiting, requested, running, completed, failed, canceled or reused"),
        Column("attempt", "INTEGER", "newest attempt; 0: none"),
        Column("stage_key", "VARCHAR", "digest of everything that decides the result"),
        Column("options", "JSON", "resolved options"),
        Column("worker_id", "VARCHAR", "worker of the newest claim"),
        Column("requested_at", "TIMESTAMP", "of the newest attempt, UTC"),
        Column("started_at", "TIMESTAMP", "first claim of the newest attempt, UTC"),
        Column("ended_at", "TIMESTAMP", "of the newest attempt, UTC"),
        Column("duration_ms", "DOUBLE", "time in the child, of the claim that completed"),
        Column("error_class", "VARCHAR", "transient, permanent, timeout, stall, exit, fenced or invalid"),
        Column("error_type", "VARCHAR", "exception type or signal name"),
        Column("message", "VARCHAR", "of the error, in one line"),
        Column("is_simulated", "BOOLEAN", "its adapter simulates"),
        Column("reused_run_id", "VARCHAR", "run whose result stands for this one"),
        Column("reused_event_id", "VARCHAR", "event of that result"),
    ),
)

ATTEMPTS = Table(
    "attempts",
    "An attempt of a stage.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        Column("status", "VARCHAR", "requested, running, completed, failed, canceled or reused"),
        Column("claims", "INTEGER", "how often it was claimed"),
        Column("requested_at", "TIMESTAMP", "UTC"),
        Column("ended_at", "TIMESTAMP", "UTC"),
        Column("error_class", "VARCHAR", "transient, permanent, timeout, stall, exit, fenced or invalid"),
        Column("error_type", "VARCHAR", "exception type or signal name"),
        Column("message", "VARCHAR", "of the error, in one line"),
        Column("traceback_blob", "VARCHAR", "digest of the traceback text"),
        Column("is_retryable", "BOOLEAN", "another attempt may follow"),
    ),
)

CLAIMS = Table(
    "claims",
    "A worker's hold on an attempt. Whether a live one is stale is for the reader to say: compare heartbeat_at.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        CLAIM_ID,
        Column("worker_id", "VARCHAR", "the worker"),
        Column("host", "VARCHAR", "its host"),
        Column("status", "VARCHAR", "live, completed, failed, canceled, expired or released"),
        Column("lease_ms", "INTEGER", "silence after which it may be ended"),
        Column("claimed_at", "TIMESTAMP", "UTC"),
        Column("heartbeat_at", "TIMESTAMP", "newest record of the claim, UTC"),
        Column("ended_at", "TIMESTAMP", "UTC"),
        Column("beat", "INTEGER", "heartbeats so far"),
        Column("step", "BIGINT", "last step that a heartbeat or checkpoint named"),
        Column("resumed_from", "VARCHAR", "event of the checkpoint that it went on from"),
        Column("is_effective", "BOOLEAN", "it is in the winning chain of its stage"),
    ),
)

RESULT_METRICS = Table(
    "result_metrics",
    "Numbers that completed stages ended with.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        Column("name", "VARCHAR", "metric"),
        Column("value", "DOUBLE", "null: not measured"),
        Column("unit", "VARCHAR", "unit"),
        Column("items", "BIGINT", "items that it is over"),
        Column("origin", "VARCHAR", "measured, estimated or simulated"),
        Column("kind", "VARCHAR", "reproducible, timing or environment"),
        Column("definition", "VARCHAR", "how it is defined"),
        EVENT_ID,
    ),
)

CHECKPOINTS = Table(
    "checkpoints",
    "Durable checkpoints.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        CLAIM_ID,
        Column("step", "BIGINT", "steps done"),
        Column("digest", "VARCHAR", "SHA-256 of the canonical list of (path, size, sha256)"),
        Column("files", "JSON", "path, size_bytes and sha256 of each file"),
        Column("size_bytes", "BIGINT", "of all files"),
        Column("saved_at", "TIMESTAMP", "UTC"),
        IS_EFFECTIVE,
        EVENT_ID,
    ),
)

ARTIFACTS = Table(
    "artifacts",
    "Outputs of stages.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        CLAIM_ID,
        Column("name", "VARCHAR", "name within the stage"),
        Column("kind", "VARCHAR", "for example model"),
        Column("digest", "VARCHAR", "SHA-256 of the canonical list of (path, size, sha256)"),
        Column("files", "JSON", "path, size_bytes and sha256 of each file"),
        Column("size_bytes", "BIGINT", "of all files"),
        Column("metadata", "JSON", "what the stage said of it"),
        Column("saved_at", "TIMESTAMP", "UTC"),
        IS_EFFECTIVE,
        EVENT_ID,
    ),
)

DATASETS = Table(
    "datasets",
    "Datasets that stages read.",
    (
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        CLAIM_ID,
        Column("name", "VARCHAR", "name that the stage uses"),
        Column("digest", "VARCHAR", "digest of its content"),
        Column("items", "JSON", "items in each split"),
        Column("source", "JSON", "where it came from"),
        Column("used_at", "TIMESTAMP", "UTC"),
        IS_EFFECTIVE,
        EVENT_ID,
    ),
)

RUN_TABLES = (
    EXPERIMENTS,
    SUBMISSIONS,
    RUNS,
    PARAMS,
    STAGES,
    ATTEMPTS,
    CLAIMS,
    RESULT_METRICS,
    CHECKPOINTS,
    ARTIFACTS,
    DATASETS,
)
