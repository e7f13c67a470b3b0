"""Telemetry: what stages measure. A set keyed by spool and sequence, joined in views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crucible.records.record import Record, record

LABEL_BYTES_MAX = 64
"""Most bytes of a label or prediction in a record: what people may want to forget is kept in blobs."""


@record(topic="telemetry", key="run_id")
class MetricBatch(Record):
    """Points of metrics, a column each."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    spool_id: str
    """Spool that the entries came from."""
    first_sequence: int
    """Sequence number of the first entry."""
    names: Sequence[str]
    """Metric names that name_index points into."""
    name_index: Sequence[int]
    """For each point, index into names."""
    step: Sequence[int]
    """For each point, the step, from 1; 0: none."""
    time_us: Sequence[int]
    """For each point, microseconds since the epoch."""
    value: Sequence[float]
    """For each point, the value; NaN and infinity are kept."""

    def problem(self) -> str | None:
        """Columns of different lengths, or a name that is not among ``names``."""
        if not _points_within(self.name_index, len(self.names)):
            return f"name_index points outside of the {len(self.names)} names"
        return _uneven(self, ("name_index", "step", "time_us", "value"))


@record(topic="telemetry", key="run_id")
class PredictionBatch(Record):
    """Scored items, a column each. Texts are in the blob."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    spool_id: str
    """Spool that the entries came from."""
    first_sequence: int
    """Sequence number of the first entry."""
    split: Sequence[str]
    """For each item, the split."""
    item_id: Sequence[str]
    """For each item, its id."""
    score: Sequence[float | None]
    """For each item, the score; null: not scored."""
    label: Sequence[str | None]
    """For each item, its label up to 64 bytes; null: none."""
    prediction: Sequence[str | None]
    """For each item, the prediction up to 64 bytes; null: none, or longer and in the blob."""
    time_us: Sequence[int]
    """For each item, microseconds since the epoch."""
    texts_blob: str | None
    """Digest of the JSON lines with longer texts."""
    texts_bytes: int
    """Size of that blob."""
    is_simulated: bool
    """The adapter simulates."""

    def problem(self) -> str | None:
        """Columns of different lengths, or a text that belongs into the blob."""
        for name in ("label", "prediction"):
            if any(len(text.encode()) > LABEL_BYTES_MAX for text in getattr(self, name) if text):
                return f"{name} holds a text of more than {LABEL_BYTES_MAX} bytes: put it into the blob"
        return _uneven(self, ("split", "item_id", "score", "label", "prediction", "time_us"))


@record(topic="telemetry", key="run_id")
class LogLines(Record):
    """Lines that a stage printed, kept as a blob."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    spool_id: str
    """Spool that the entries came from."""
    first_sequence: int
    """Sequence number of the first entry."""
    stream: str
    """stdout or stderr."""
    blob: str
    """Digest of the bytes."""
    size_bytes: int
    """Their size."""
    lines: int
    """How many lines."""
    dropped_bytes: int
    """Bytes over the limit, not kept."""
    time_us: int
    """When the last byte was read."""


@record(topic="telemetry", key="run_id")
class Span(Record):
    """A timed piece of work."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    spool_id: str
    """Spool that the entries came from."""
    first_sequence: int
    """Sequence number of the first entry."""
    name: str
    """What."""
    span_id: str
    """W3C span id."""
    parent_span_id: str | None
    """Its parent."""
    start_us: int
    """Microseconds since the epoch."""
    end_us: int
    """Microseconds since the epoch."""
    attributes_json: str
    """Canonical JSON."""


@record(topic="telemetry", key="run_id")
class SystemSample(Record):
    """Resources of the stage's process group."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim that this belongs to."""
    spool_id: str
    """Spool that the entries came from."""
    first_sequence: int
    """Sequence number of the first entry."""
    time_us: int
    """Microseconds since the epoch."""
    cpu_seconds: float | None
    """CPU time used so far."""
    memory_bytes: int | None
    """Resident memory."""


def _points_within(indexes: Any, count: int) -> bool:
    """Whether all indexes, a list or an array of them, are among ``count``."""
    if not len(indexes):
        return True
    is_array = hasattr(indexes, "dtype")
    low, high = (indexes.min(), indexes.max()) if is_array else (min(indexes), max(indexes))
    return bool(0 <= low <= high < count)


def _uneven(batch: Record, names: Sequence[str]) -> str | None:
    """Which columns have other lengths than the first."""
    lengths = {name: len(getattr(batch, name)) for name in names}
    if len(set(lengths.values())) == 1:
        return None
    return "columns differ in length: " + ", ".join(f"{name} {length}" for name, length in lengths.items())
