"""One claim as a drain sees it: its spools (of the stage and of processes that it forked) and what its parent observes.

What the parent observes (printed lines, resources) has a channel of its own, ``<claim_id>.s``, and lives in memory
until it is on the log: it is lost with the parent, and so is the stage.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from crucible.blobs import BlobStore
from crucible.errors import SpoolError
from crucible.journal import Journal
from crucible.producers.batches import SpoolRecords
from crucible.producers.drained_spool import DrainedSpool, Taken, claim_of
from crucible.producers.process_sample import GroupUsage
from crucible.records.record import Record
from crucible.records.telemetry import SystemSample
from crucible.spool.frames import Lines
from crucible.spool.layout import SpoolMeta

PENDING_LINES_BYTES_MAX = 16 * 1024 * 1024
"""Most printed bytes that wait for the log; what comes above is counted as dropped."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """The resources of a stage at one moment."""

    time_us: int
    usage: GroupUsage


@dataclasses.dataclass(frozen=True, slots=True)
class Harvest:
    """What one pass took from a spool, or, without a spool, of what the parent observed."""

    claim: DrainedClaim
    spool: DrainedSpool | None
    taken: Taken
    observed: int = 0

    def acknowledge(self) -> None:
        """It is on the log."""
        if self.spool is not None:
            self.spool.acknowledge(self.taken)
        self.claim.forget_observed(self.observed)

    def remove_read(self) -> None:
        """Remove the segments that nobody needs any more."""
        if self.spool is not None:
            self.spool.remove_read(self.taken)

    def set_aside(self, problem: SpoolError) -> None:
        """The log does not take it."""
        if self.spool is not None:
            self.claim.set_aside(self.spool, problem)
        self.claim.forget_observed(self.observed)


class DrainedClaim:
    """The telemetry of one claim. The drain's lock guards it; ``harvest_observed`` is its thread's and needs none."""

    def __init__(self, folder: Path, meta: SpoolMeta, *, is_adopted: bool = False) -> None:
        """Expect spools at ``folder`` and beside it."""
        self.folder = folder
        self.meta = meta
        self.is_adopted = is_adopted
        self.is_ending = is_adopted
        self.problem: SpoolError | None = None
        self.process_group: int | None = None
        self.cpu_seconds_before = 0.0
        self._spools: dict[str, DrainedSpool] = {}
        self._ignored: set[str] = set()
        self._observed: collections.deque[Lines | Sample] = collections.deque()
        self._observed_first = 0
        self._pending_bytes = 0
        self._dropped_bytes = 0

    @property
    def spools(self) -> list[DrainedSpool]:
        """The spools that are being drained."""
        return list(self._spools.values())

    @property
    def ignored(self) -> set[str]:
        """Names of spools that were set aside."""
        return self._ignored

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_ending and not self._spools and not self._observed

    @property
    def observed(self) -> list[Lines | Sample]:
        """What the parent has observed and the log does not have."""
        return list(self._observed)

    @property
    def observed_end(self) -> int:
        """The next sequence of what the parent observes."""
        return self._observed_first + len(self._observed)

    def add(self, spool: DrainedSpool) -> None:
        """Drain this one too."""
        self._spools[spool.folder.name] = spool

    def discover(self, names: list[str]) -> None:
        """Open the spools of this claim among the folders ``names``."""
        for name in names:
            if name in self._spools or name in self._ignored or claim_of(name) != self.meta.claim_id:
                continue
            try:
                spool = DrainedSpool.open(self.folder.with_name(name))
            except SpoolError as error:
                self.problem = error
                self._ignored.add(name)
                continue
            if spool is not None:
                self.add(spool)

    def marks(self) -> dict[str, int]:
        """For each spool, the next sequence of its writer."""
        return {key: mark for spool in self.spools for key, mark in spool.end().items()}

    def has_on_log(self, marks: dict[str, int], observed: int) -> bool:
        """Whether everything below ``marks`` and ``observed`` is on the log, by this drain or by another."""
        done: dict[str, int] = {}
        for spool in self.spools:
            done |= spool.acknowledged()
        return self._observed_first >= observed and all(done.get(key, mark) >= mark for key, mark in marks.items())

    def add_lines(self, stream: str, data: bytes, dropped_bytes: int, time_us: int) -> None:
        """Take printed bytes."""
        self._dropped_bytes += dropped_bytes
        if self._pending_bytes + len(data) > PENDING_LINES_BYTES_MAX:
            self._dropped_bytes += len(data)
            return
        self._observed.append(Lines(stream, self._dropped_bytes, time_us, data))
        self._pending_bytes += len(data)
        self._dropped_bytes = 0

    def add_sample(self, usage: GroupUsage, time_us: int) -> None:
        """Take a measurement; CPU time counts from when the claim was first looked at."""
        own = max(usage.cpu_seconds - self.cpu_seconds_before, 0.0)
        self._observed.append(Sample(time_us, GroupUsage(own, usage.memory_bytes)))

    def forget_observed(self, count: int) -> None:
        """The first ``count`` observations are on the log."""
        for _ in range(count):
            gone = self._observed.popleft()
            if isinstance(gone, Lines):
                self._pending_bytes -= len(gone.data)
        self._observed_first += count

    def harvest_observed(self, observed: Sequence[Lines | Sample], journal: Journal, blobs: BlobStore) -> Harvest:
        """Records of the oldest observations. Raises ``StorageError`` if a blob can't be written."""
        make = SpoolRecords(journal, blobs, self.meta)
        records = [self._record(make, index, content) for index, content in enumerate(observed)]
        return Harvest(self, None, Taken(records, 0, None), len(observed))

    def set_aside(self, spool: DrainedSpool, problem: SpoolError) -> None:
        """Leave a spool that can't be drained where it is."""
        self.problem = problem
        self._ignored.add(spool.folder.name)
        spool.release()
        self._spools.pop(spool.folder.name, None)

    def forget(self, spool: DrainedSpool) -> None:
        """Nothing more will come from this spool."""
        self._spools.pop(spool.folder.name, None)

    def release(self) -> None:
        """Leave all spools to the next drain."""
        for spool in self.spools:
            spool.release()

    def _record(self, make: SpoolRecords, index: int, content: Lines | Sample) -> Record:
        sequence = self._observed_first + index
        spool_id = f"{self.meta.claim_id}.s"
        if isinstance(content, Lines):
            return make.of_lines(content, spool_id=spool_id, first_sequence=sequence)
        return make.make(
            SystemSample,
            spool_id,
            sequence,
            time_us=content.time_us,
            cpu_seconds=content.usage.cpu_seconds,
            memory_bytes=content.usage.memory_bytes,
        )
