"""Tables of the log itself: events, commands, labels, verdicts, dead letters, and how far was read."""

from __future__ import annotations

from crucible.projections.columns import EVENT_ID, Column, Spread, Table, physical

_PARTITION = physical("log_partition", "INTEGER", "partition of the log")
_OFFSET = physical("log_offset", "BIGINT", "offset in the partition")
_TYPE = Column("type", "VARCHAR", "record type")
_KEY = Column("key", "VARCHAR", "key: records of one key are ordered")
_ACTOR = Column("actor", "VARCHAR", "who")
_OCCURRED_AT = Column("occurred_at", "TIMESTAMP", "UTC, by the writer's clock")
_SUBJECT_KIND = Column("subject_kind", "VARCHAR", "run or submission")
_SUBJECT_ID = Column("subject_id", "VARCHAR", "id of the run or submission")

EVENTS = Table(
    "events",
    "Every event, void ones too.",
    (
        physical("topic", "VARCHAR", "topic of the log: events"),
        _PARTITION,
        _OFFSET,
        EVENT_ID,
        _TYPE,
        _KEY,
        Column("run_id", "VARCHAR", "the run, if the event is of one"),
        _OCCURRED_AT,
        physical("appended_at", "TIMESTAMP", "when the log took it, UTC"),
        _ACTOR,
        Column("causation_id", "VARCHAR", "record that caused it"),
        Column("correlation_id", "VARCHAR", "record that began it all"),
        Column("traceparent", "VARCHAR", "W3C trace context"),
        Column("is_void", "BOOLEAN", "its precondition failed at its place: kept, without effect"),
        Column("void_reason", "VARCHAR", "why"),
        Column("payload", "JSON", "the fields of its type"),
    ),
    Spread.WHOLE,
)

COMMAND_RECORDS = Table(
    "command_records",
    "Every command. Read it through commands, which joins the answers.",
    (
        _PARTITION,
        _OFFSET,
        Column("command_id", "VARCHAR", "event_id of the command"),
        _TYPE,
        _KEY,
        _OCCURRED_AT,
        physical("appended_at", "TIMESTAMP", "when the log took it, UTC"),
        _ACTOR,
        Column("payload", "JSON", "the fields of its type"),
    ),
    Spread.WHOLE,
)

COMMAND_ANSWERS = Table(
    "command_answers",
    "Answers to commands; they may come before the command, for topics have no order between them.",
    (
        Column("command_id", "VARCHAR", "event_id of the command"),
        Column("answer", "VARCHAR", "accepted, rejected or obsolete"),
        Column("reasons", "JSON", "why it was not accepted"),
        Column("answered_at", "TIMESTAMP", "UTC"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

METRIC_DECLARATIONS = Table(
    "metric_declarations",
    "Metrics that the stages of a submission declare.",
    (
        Column("submission_id", "VARCHAR", "the submission"),
        Column("stage", "VARCHAR", "stage name"),
        Column("scope", "VARCHAR", "run or experiment: what the stage is about"),
        Column("name", "VARCHAR", "metric"),
        Column("unit", "VARCHAR", "unit"),
        Column("better", "VARCHAR", "higher or lower; null: no direction"),
        Column("low", "DOUBLE", "lowest value that it can take"),
        Column("high", "DOUBLE", "highest value that it can take"),
        Column("kind", "VARCHAR", "reproducible, timing or environment"),
        Column("mean_of", "VARCHAR", "split over whose predictions' scores it is the mean"),
    ),
    Spread.WHOLE,
)

DECLARED_TARGETS = Table(
    "declared_targets",
    "Quality targets of a submission. Read them through targets, which joins the verdicts.",
    (
        Column("submission_id", "VARCHAR", "the submission"),
        Column("experiment", "VARCHAR", "name of the experiment"),
        Column("metric", "VARCHAR", "metric"),
        Column("at_least", "DOUBLE", "lowest value that is good enough"),
        Column("at_most", "DOUBLE", "highest value that is good enough"),
        Column("unit", "VARCHAR", "unit of the bounds"),
    ),
    Spread.WHOLE,
)

VERDICTS = Table(
    "verdicts",
    "Whether targets are met, judged once all runs of the submission have ended.",
    (
        Column("submission_id", "VARCHAR", "the submission"),
        Column("generation", "INTEGER", "closing of the submission that it was judged at"),
        Column("metric", "VARCHAR", "metric"),
        Column("target", "VARCHAR", "the bound in words"),
        Column("cell_index", "INTEGER", "the cell judged; null: no cell could be selected"),
        Column("label", "VARCHAR", "label of the cell"),
        Column("is_selected", "BOOLEAN", "the cell is the one that the selected metric chose"),
        Column("status", "VARCHAR", "met, missed, undecided or unmeasured"),
        Column("value", "DOUBLE", "mean"),
        Column("low", "DOUBLE", "lower end of the interval"),
        Column("high", "DOUBLE", "upper end of the interval"),
        Column("level", "DOUBLE", "confidence level of the interval"),
        Column("n", "INTEGER", "repeats or items that the interval is over"),
        Column("method", "VARCHAR", "how the interval was computed"),
        Column("sentence", "VARCHAR", "in words"),
    ),
    Spread.GATHERED,
)

FINDINGS = Table(
    "findings",
    "What the grid says, in words.",
    (
        Column("submission_id", "VARCHAR", "the submission"),
        Column("generation", "INTEGER", "closing of the submission that it was judged at"),
        Column("number", "INTEGER", "place in the list, from 1"),
        Column("kind", "VARCHAR", "best, enough or nothing"),
        Column("parameter", "VARCHAR", "parameter that it is about"),
        Column("value", "DOUBLE", "smallest value of the parameter that is enough"),
        Column("sentence", "VARCHAR", "in words"),
    ),
    Spread.GATHERED,
)

JUDGEMENTS = Table(
    "judgements",
    "Which submissions were judged, and which cell was chosen.",
    (
        Column("submission_id", "VARCHAR", "the submission"),
        Column("generation", "INTEGER", "closing of the submission that it was judged at"),
        Column("selected_cell", "INTEGER", "index of the chosen cell; null: none"),
        Column("problem", "VARCHAR", "why it could not be judged"),
    ),
    Spread.GATHERED,
)

JUDGED_TABLES = (VERDICTS.name, FINDINGS.name, JUDGEMENTS.name)
"""What follows from the closing of a submission, and goes when it or a run of it is reopened."""

TAGS = Table(
    "tags",
    "Tags of runs and submissions.",
    (_SUBJECT_KIND, _SUBJECT_ID, Column("tag", "VARCHAR", "the tag")),
    Spread.WHOLE,
)

NOTES = Table(
    "notes",
    "Notes on runs and submissions.",
    (
        _SUBJECT_KIND,
        _SUBJECT_ID,
        Column("text", "VARCHAR", "the note"),
        _ACTOR,
        Column("noted_at", "TIMESTAMP", "UTC"),
        EVENT_ID,
    ),
    Spread.WHOLE,
)

DEAD_LETTERS = Table(
    "dead_letters",
    "Records that could not be applied.",
    (
        physical("dead_no", "INTEGER", "in order of reading"),
        Column("topic", "VARCHAR", "topic"),
        _PARTITION,
        _OFFSET,
        _KEY,
        Column("value", "BLOB", "the bytes"),
        Column("reason", "VARCHAR", "why"),
        physical("is_to_mirror", "BOOLEAN", "a copy goes to topic dead; false for what a rebuild found"),
        physical("appended_at", "TIMESTAMP", "when the log took it, UTC"),
    ),
    Spread.BY_TOPIC,
)

MIRRORS = Table(
    "mirrors",
    "Folders of runs and submissions that were written: what is on the disk, which the log does not say.",
    (
        physical("subject_kind", "VARCHAR", "run or submission"),
        physical("subject_id", "VARCHAR", "id of the run or submission"),
        physical("generation", "INTEGER", "generation of the run or submission that was written"),
        physical("folder", "VARCHAR", "the folder"),
        physical("manifest_digest", "VARCHAR", "SHA-256 of its manifest.json"),
        physical("problem", "VARCHAR", "why it could not be written"),
    ),
    Spread.PARTED,
)

REPORTS = Table(
    "reports",
    "Reports that were asked for, and where they are on the disk.",
    (
        Column("report_id", "VARCHAR", "event_id of ReportRequested"),
        _SUBJECT_KIND,
        _SUBJECT_ID,
        Column("position", "VARCHAR", "the state of the log that it tells, as text"),
        Column("formats", "JSON", "formats that were asked for"),
        physical("folder", "VARCHAR", "the folder; null: not yet rendered"),
        physical("manifest_digest", "VARCHAR", "SHA-256 of its manifest.json"),
        physical("problem", "VARCHAR", "why it could not be rendered"),
    ),
    Spread.WHOLE,
)

PURGES = Table(
    "purges",
    "What became of the content of runs that were purged, in this place; the log says that and why they were.",
    (
        physical("run_id", "VARCHAR", "the run"),
        physical("named", "BIGINT", "digests that its records name, telemetry's too"),
        physical("removed", "BIGINT", "of these, blobs that were removed"),
        physical("shared", "BIGINT", "of these, blobs that stay because something else names them"),
        physical("postponed", "BIGINT", "of these, blobs that stay until the stages that run now have ended"),
        physical("removed_bytes", "BIGINT", "their bytes"),
        physical("problem", "VARCHAR", "why they could not be removed"),
    ),
    Spread.OWN,
)

POSITIONS = Table(
    "positions",
    "How far the log was read: every row of this read model comes from below.",
    (
        physical("topic", "VARCHAR", "topic"),
        _PARTITION,
        physical("next_offset", "BIGINT", "next offset to read"),
        physical("last_crc32c", "BIGINT", "CRC-32C of the value below it; null: none was read"),
        physical("projected", "BIGINT", "records that are in the tables"),
        physical("void", "BIGINT", "records without effect: precondition failed, or a repeat"),
        physical("skipped", "BIGINT", "records of a type that this version does not know"),
        physical("dead", "BIGINT", "records that could not be applied"),
        physical("purged", "BIGINT", "records forgotten on request"),
    ),
    Spread.BY_TOPIC,
)

META = Table(
    "meta",
    "What this read model is.",
    (physical("name", "VARCHAR", "what"), physical("value", "VARCHAR", "value")),
    Spread.OWN,
)

LOG_TABLES = (
    EVENTS,
    COMMAND_RECORDS,
    COMMAND_ANSWERS,
    METRIC_DECLARATIONS,
    DECLARED_TARGETS,
    VERDICTS,
    FINDINGS,
    JUDGEMENTS,
    TAGS,
    NOTES,
    DEAD_LETTERS,
    MIRRORS,
    REPORTS,
    PURGES,
    POSITIONS,
    META,
)
