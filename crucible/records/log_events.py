"""Events about the log itself, commands, limits, workers and labels."""

from __future__ import annotations

from collections.abc import Sequence

from crucible.records.record import ArchivePart, Record, record


@record(topic="events", key="log_id")
class LogCreated(Record):
    """The identity of a log; first record of events, partition 0."""

    log_id: str
    """UUID of the log."""
    crucible_version: str
    """Version that created it."""


@record(topic="events", key="subject_id")
class CommandAccepted(Record):
    """The command takes effect; its events follow in the same batch."""

    command_id: str
    """event_id of the command."""
    command_type: str
    """Record name of the command."""
    subject_id: str
    """Key of the command."""


@record(topic="events", key="subject_id")
class CommandRejected(Record):
    """The command is wrong and has no effect."""

    command_id: str
    """event_id of the command."""
    command_type: str
    """Record name of the command."""
    subject_id: str
    """Key of the command."""
    errors: Sequence[str]
    """Every problem found."""


@record(topic="events", key="subject_id")
class CommandObsolete(Record):
    """The command has nothing left to do."""

    command_id: str
    """event_id of the command."""
    command_type: str
    """Record name of the command."""
    subject_id: str
    """Key of the command."""
    reason: str
    """Why."""


@record(topic="events", key="limit")
class PermitGranted(Record):
    """One unit of a limit is held. Void above the capacity at its place."""

    limit: str
    """Name of the limit."""
    capacity: int
    """How many may hold it at once."""
    holder: str
    """Who holds it: a run id."""
    grant: int
    """How often this holder was granted it, from 1."""


@record(topic="events", key="limit")
class PermitReleased(Record):
    """A held unit is given back."""

    limit: str
    """Name of the limit."""
    holder: str
    """Who held it."""
    grant: int
    """Which grant ends."""


@record(topic="events", key="subject_id")
class TagsChanged(Record):
    """Tags were added and removed."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    added: Sequence[str]
    """Tags added."""
    removed: Sequence[str]
    """Tags removed."""


@record(topic="events", key="subject_id")
class NoteAdded(Record):
    """A note was attached."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    text: str
    """The note."""


@record(topic="events", key="worker_id")
class WorkerStarted(Record):
    """A worker is there."""

    worker_id: str
    """The worker."""
    host: str
    """Host name."""
    pid: int
    """Process id."""
    slots: int
    """Stages at once."""
    queues: Sequence[str]
    """Queues it serves."""
    adapters: Sequence[str]
    """Adapters it can run."""
    crucible_version: str
    """Version."""


@record(topic="events", key="worker_id")
class WorkerStopped(Record):
    """A worker has gone."""

    worker_id: str
    """The worker."""
    reason: str
    """drained, stopped or gone."""


@record(topic="events", key="name")
class MarkSet(Record):
    """A position has a name."""

    name: str
    """Name of the mark."""
    position: str
    """Position vector as text."""


@record(topic="events", key="subject_id")
class ReportRequested(Record):
    """A report is asked for at a position."""

    subject_kind: str
    """run or submission."""
    subject_id: str
    """Id of the run or submission."""
    position: str
    """Position vector as text."""
    formats: Sequence[str]
    """Formats."""


@record(topic="events", key="uri")
class LogArchived(Record):
    """Values of a partition may go: all below an offset are in these files. Reading continues from there."""

    uri: str
    """Address of the last file."""
    position: str
    """Position as text: what lies below is archived."""
    sha256: str
    """Digest of the last file."""
    topic: str
    """Topic of the values."""
    partition: int
    """Partition of the values."""
    partitions: int
    """How many partitions the topic has: a copy of the log with others has other offsets."""
    parts: Sequence[ArchivePart]
    """Every file of the archive, from offset 0 on."""
    first_key: str
    """Key of the log's first event, in the record of that partition; else empty."""
    first_value: str
    """The log's first event, which is its identity, in base64; else empty."""
    first_appended_at_us: int
    """When the log took it, microseconds since the epoch; else 0."""
