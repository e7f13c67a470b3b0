"""Tables of what stages measured, and how points join to runs: spools and names are numbered, points hold numbers."""

from __future__ import annotations

from crucible.projections.columns import (
    ATTEMPT,
    CLAIM_ID,
    EVENT_ID,
    RUN_ID,
    RUN_NO,
    SEQUENCE,
    SPOOL_NO,
    STAGE,
    Column,
    Spread,
    Table,
    physical,
)

RUN_KEYS = Table(
    "run_keys",
    "Number of each run that any record has named; telemetry may come before its run.",
    (RUN_NO, RUN_ID),
    Spread.MET,
)

METRIC_NAMES = Table(
    "metric_names",
    "Number of each metric name.",
    (physical("name_no", "INTEGER", "number of the name in this read model"), Column("name", "VARCHAR", "metric")),
    Spread.MET,
)

SPOOLS = Table(
    "spools",
    "Where telemetry came from, how far it was read, and which part of it counts.",
    (
        SPOOL_NO,
        Column("spool_id", "VARCHAR", "the claim's id and .m for metric points, .r for everything else"),
        RUN_NO,
        RUN_ID,
        STAGE,
        ATTEMPT,
        CLAIM_ID,
        Column("next_sequence", "BIGINT", "everything below was taken in"),
        Column("is_effective", "BOOLEAN", "its claim is in the winning chain"),
        Column("end_sequence", "BIGINT", "entries below count; null: no end"),
        Column("chain_index", "INTEGER", "place of the claim in the chain, from 0"),
    ),
    Spread.PARTED,
)

POINTS = Table(
    "points",
    "Every metric point, as numbers. Read it through metrics and metrics_effective.",
    (
        RUN_NO,
        SPOOL_NO,
        physical("name_no", "INTEGER", "number of the metric name"),
        SEQUENCE,
        Column("step", "BIGINT", "step, from 1; 0: none"),
        Column("time", "TIMESTAMP", "when it was logged, UTC"),
        Column("value", "DOUBLE", "NaN and infinity are kept"),
    ),
    Spread.PARTED,
)

METRIC_SUMMARY = Table(
    "metric_summary",
    "Each metric of each stage in short, over effective points in the order in which they were logged.",
    (
        physical("first_spool_no", "INTEGER", "number of the first spool of this run and stage"),
        RUN_NO,
        RUN_ID,
        STAGE,
        Column("name", "VARCHAR", "metric"),
        Column("n", "BIGINT", "points"),
        Column("nonfinite", "BIGINT", "points that are NaN or infinite; least, greatest and best leave them out"),
        Column("first", "DOUBLE", "first value"),
        Column("first_step", "BIGINT", "its step"),
        Column("last", "DOUBLE", "last value"),
        Column("last_step", "BIGINT", "its step"),
        Column("min", "DOUBLE", "least finite value"),
        Column("min_step", "BIGINT", "step at which it came first"),
        Column("max", "DOUBLE", "greatest finite value"),
        Column("max_step", "BIGINT", "step at which it came first"),
        Column("best", "DOUBLE", "least or greatest, as the stage declares; null: no direction declared"),
        Column("best_step", "BIGINT", "step at which it came first"),
    ),
    Spread.PARTED,
)

SCORED_ITEMS = Table(
    "scored_items",
    "Every prediction. Read it through predictions and predictions_effective.",
    (
        RUN_NO,
        SPOOL_NO,
        SEQUENCE,
        Column("split", "VARCHAR", "split of the dataset"),
        Column("item_id", "VARCHAR", "id of the item"),
        Column("score", "DOUBLE", "score; null: not scored"),
        Column("label", "VARCHAR", "label, up to 64 bytes"),
        Column("prediction", "VARCHAR", "prediction, up to 64 bytes"),
        Column("time", "TIMESTAMP", "UTC"),
        Column("texts_blob", "VARCHAR", "digest of the JSON lines with longer texts"),
        Column("is_simulated", "BOOLEAN", "the adapter simulates"),
    ),
    Spread.PARTED,
)

_ORIGIN = (RUN_NO, RUN_ID, STAGE, ATTEMPT, CLAIM_ID, SPOOL_NO, SEQUENCE)

LOGS = Table(
    "logs",
    "Lines that stages printed; the text is in the blob.",
    (
        *_ORIGIN,
        Column("stream", "VARCHAR", "stdout or stderr"),
        Column("blob", "VARCHAR", "digest of the bytes"),
        Column("size_bytes", "BIGINT", "their size"),
        Column("lines", "BIGINT", "how many lines"),
        Column("dropped_bytes", "BIGINT", "bytes over the limit, not kept"),
        Column("time", "TIMESTAMP", "when the last byte was read, UTC"),
        EVENT_ID,
    ),
    Spread.PARTED,
)

SPANS = Table(
    "spans",
    "Timed pieces of work.",
    (
        *_ORIGIN,
        Column("name", "VARCHAR", "what"),
        Column("span_id", "VARCHAR", "W3C span id"),
        Column("parent_span_id", "VARCHAR", "its parent"),
        Column("started_at", "TIMESTAMP", "UTC"),
        Column("ended_at", "TIMESTAMP", "UTC"),
        Column("attributes", "JSON", "attributes"),
        EVENT_ID,
    ),
    Spread.PARTED,
)

SYSTEM_SAMPLES = Table(
    "system_samples",
    "Resources of stages' process groups.",
    (
        *_ORIGIN,
        Column("time", "TIMESTAMP", "UTC"),
        Column("cpu_seconds", "DOUBLE", "CPU time used so far"),
        Column("memory_bytes", "BIGINT", "resident memory"),
        EVENT_ID,
    ),
    Spread.PARTED,
)

TELEMETRY_RECORDS = Table(
    "telemetry_records",
    "Where each telemetry record stands on the log.",
    (
        RUN_NO,
        physical("log_partition", "INTEGER", "partition of the log"),
        physical("log_offset", "BIGINT", "offset in the partition"),
        Column("type", "VARCHAR", "record type"),
        SPOOL_NO,
        Column("first_sequence", "BIGINT", "sequence number of its first entry"),
        Column("entries", "BIGINT", "entries"),
        Column("taken", "BIGINT", "entries that were new; 0: a repeat"),
        EVENT_ID,
    ),
    Spread.PARTED,
)

TELEMETRY_TABLES = (
    RUN_KEYS,
    METRIC_NAMES,
    SPOOLS,
    POINTS,
    METRIC_SUMMARY,
    SCORED_ITEMS,
    LOGS,
    SPANS,
    SYSTEM_SAMPLES,
    TELEMETRY_RECORDS,
)
