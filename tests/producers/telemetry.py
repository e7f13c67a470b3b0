"""A log in memory that may fail, and what telemetry is on it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crucible.errors import LogError, LogRefusedError
from crucible.journal import Journal
from crucible.place import Place
from crucible.ports import SystemClock, SystemIds
from crucible.records.record import Record
from crucible.records.telemetry import MetricBatch
from crucible.spool.writer import SpoolWriter
from tests.records.fake_log import FakeLog
from tests.spool.spools import SEGMENT_BYTES


class FailingLog(FakeLog):
    """A log that does not answer while ``is_down``, and that refuses batches whose bytes hold ``refused``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.refused: bytes | None = None
        self.asked = threading.Event()

    def append(self, batches: Sequence[Any]) -> Any:
        self.asked.set()
        if self.is_down:
            raise LogError("the log does not answer")
        if self.refused and any(self.refused in value.value for batch in batches for value in batch.values):
            raise LogRefusedError("no such batch")
        return super().append(batches)


def make_place(root: Path) -> Place:
    place = Place(root)
    place.create()
    return place


def make_journal(log: FakeLog) -> Journal:
    return Journal(log, clock=SystemClock(), ids=SystemIds(), actor="test")


def open_writer(place: Place, claim_id: str, **options: Any) -> SpoolWriter:
    """A writer of a claim with segments of 16 points."""
    options = {"segment_bytes": SEGMENT_BYTES, **options}
    return SpoolWriter(place.spool / claim_id, claim_id, run_id=f"run-{claim_id}", stage="fit", attempt=1, **options)


def telemetry(journal: Journal) -> list[Record]:
    """Every telemetry record, in the order of the log."""
    entries = journal.read("telemetry", 0, 0, 100_000)
    assert all(entry.problem is None for entry in entries)
    return [entry.record for entry in entries if entry.record is not None]


def points(journal: Journal, spool_id: str) -> list[tuple[str, int, float]]:
    """(name, step, value) of a spool by sequence; what was appended twice must be the same."""
    found: dict[int, tuple[str, int, float]] = {}
    for record in telemetry(journal):
        if isinstance(record, MetricBatch) and record.spool_id == spool_id:
            names = [record.names[index] for index in record.name_index]
            for offset, point in enumerate(zip(names, record.step, record.value, strict=True)):
                sequence = record.first_sequence + offset
                assert repr(found.setdefault(sequence, point)) == repr(point)
    assert sorted(found) == list(range(len(found)))
    return [found[sequence] for sequence in range(len(found))]


def appended_points(journal: Journal, spool_id: str) -> int:
    """How many points of a spool were appended, repeats among them."""
    batches = [record for record in telemetry(journal) if isinstance(record, MetricBatch)]
    return sum(len(record.value) for record in batches if record.spool_id == spool_id)
