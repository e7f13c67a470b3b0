"""The record types of the log: one frozen dataclass for each schema in ``schemas/``."""

from __future__ import annotations

from crucible.records.record import RECORD_TYPES, Record, ResultMetric, StoredFile, Topic
from crucible.records.commands import AddNote, CancelRun, CancelSubmission, ChangeTags, PurgeRun, RetryRun, SetMark, SubmitExperiment
from crucible.records.log_events import CommandAccepted, CommandObsolete, CommandRejected, LogArchived, LogCreated, MarkSet, NoteAdded, PermitGranted, PermitReleased, ReportRequested, TagsChanged, WorkerStarted, WorkerStopped
from crucible.records.run_events import RunCancelRequested, RunCanceled, RunCompleted, RunCreated, RunFailed, RunPurged, RunReopened, RunStarted, SubmissionAccepted, SubmissionCancelRequested, SubmissionClosed, SubmissionReopened
from crucible.records.stage_events import ArtifactSaved, CheckpointSaved, DatasetUsed, StageCanceled, StageClaimed, StageCompleted, StageFailed, StageHeartbeat, StageLeaseExpired, StageRequested, StageResumed, StageReused
from crucible.records.telemetry import LogLines, MetricBatch, PredictionBatch, Span, SystemSample
from crucible.records.dead import DeadLetter

__all__ = [
    "AddNote",
    "ArtifactSaved",
    "CancelRun",
    "CancelSubmission",
    "ChangeTags",
    "CheckpointSaved",
    "CommandAccepted",
    "CommandObsolete",
    "CommandRejected",
    "DatasetUsed",
    "DeadLetter",
    "LogArchived",
    "LogCreated",
    "LogLines",
    "MarkSet",
    "MetricBatch",
    "NoteAdded",
    "PermitGranted",
    "PermitReleased",
    "PredictionBatch",
    "PurgeRun",
    "RECORD_TYPES",
    "Record",
    "ReportRequested",
    "ResultMetric",
    "RetryRun",
    "RunCancelRequested",
    "RunCanceled",
    "RunCompleted",
    "RunCreated",
    "RunFailed",
    "RunPurged",
    "RunReopened",
    "RunStarted",
    "SetMark",
    "Span",
    "StageCanceled",
    "StageClaimed",
    "StageCompleted",
    "StageFailed",
    "StageHeartbeat",
    "StageLeaseExpired",
    "StageRequested",
    "StageResumed",
    "StageReused",
    "StoredFile",
    "SubmissionAccepted",
    "SubmissionCancelRequested",
    "SubmissionClosed",
    "SubmissionReopened",
    "SubmitExperiment",
    "SystemSample",
    "TagsChanged",
    "Topic",
    "WorkerStarted",
    "WorkerStopped",
]
