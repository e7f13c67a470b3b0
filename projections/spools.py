"""Spools as the read model knows them: how far each was taken in, and which part of it counts.

A spool's entries are a set keyed by sequence number; a second drain sends some of them again with other borders. The
next sequence number of each spool is what drops repeats and trims overlaps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from crucible.errors import RecordError
from crucible.projections.buffer import Buffer, Row
from crucible.projections.numbering import QUERY_IDS_MAX, Numbering
from crucible.rules import effective
from crucible.rules.state import RunState


class TelemetryRecord(Protocol):
    """What every telemetry record says of its origin."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def stage(self) -> str:
        """Stage name."""
        ...

    @property
    def attempt(self) -> int:
        """Attempt of the stage."""
        ...

    @property
    def claim_id(self) -> str:
        """The claim."""
        ...

    @property
    def spool_id(self) -> str:
        """The spool."""
        ...

    @property
    def first_sequence(self) -> int:
        """Sequence number of the first entry."""
        ...


@dataclasses.dataclass(slots=True)
class Spool:
    """A row of ``spools``."""

    spool_no: int
    spool_id: str
    run_no: int
    run_id: str
    stage: str
    attempt: int
    claim_id: str
    next_sequence: int = 0
    is_effective: bool = False
    end_sequence: int | None = None
    chain_index: int | None = None

    @property
    def row(self) -> Row:
        """The row."""
        return tuple(getattr(self, field) for field in _FIELDS)

    @property
    def is_bounded(self) -> bool:
        """Entries at its end do not count."""
        return self.end_sequence is not None and self.end_sequence < self.next_sequence


_FIELDS = tuple(field.name for field in dataclasses.fields(Spool))


class Spools:
    """The spools of the runs in use. For one thread."""

    def __init__(self, connection: Any, runs: Numbering) -> None:
        self._connection = connection
        self._runs = runs
        (last,) = connection.execute("SELECT max(spool_no) FROM spools").fetchone()
        self._next_no = 0 if last is None else last + 1
        self._is_complete = last is None
        self._by_run: dict[str, dict[str, Spool]] = {}
        self._owner: dict[str, str] = {}
        self._dirty: dict[int, Spool] = {}
        self._new: set[int] = set()
        self.gaps = 0
        """Records that began beyond the next sequence number of their spool."""

    def load(self, run_ids: Iterable[str], known: Iterable[str]) -> None:
        """Have the spools of these runs; the table may hold spools of those that are ``known``, and of no others."""
        new = [run_id for run_id in dict.fromkeys(run_ids) if run_id not in self._by_run]
        self._by_run.update((run_id, {}) for run_id in new)
        if self._is_complete:
            return
        missing = sorted(set(new).intersection(known))
        for start in range(0, len(missing), QUERY_IDS_MAX):
            part = missing[start : start + QUERY_IDS_MAX]
            marks = ", ".join("?" * len(part))
            query = f"SELECT {', '.join(_FIELDS)} FROM spools WHERE run_id IN ({marks}) ORDER BY spool_no"
            for row in self._connection.execute(query, part).fetchall():
                spool = Spool(*row)
                self._by_run[spool.run_id][spool.spool_id] = spool
                self._owner[spool.spool_id] = spool.run_id

    def of_run(self, run_id: str) -> Iterable[Spool]:
        """The spools of a run that was loaded, in order of first sight."""
        return self._by_run.get(run_id, {}).values()

    def take(self, record: TelemetryRecord, count: int, buffer: Buffer, run: RunState | None) -> tuple[Spool, int]:
        """Note ``count`` entries; returns the spool and how many of them at the start are repeats.

        Raises ``RecordError`` if the spool is another run's.
        """
        spool = self._by_run[record.run_id].get(record.spool_id) or self._open(record, buffer, run)
        first = record.first_sequence
        repeats = min(count, max(0, spool.next_sequence - first))
        if repeats < count:
            self.gaps += first > spool.next_sequence
            spool.next_sequence = first + count
            self._dirty[spool.spool_no] = spool
        return spool, repeats

    def update_windows(self, run: RunState) -> set[str]:
        """Set which parts of a run's spools count; returns the stages in which that changed."""
        stages = set()
        for spool in self.of_run(run.run_id):
            if _set_window(spool, run):
                self._dirty[spool.spool_no] = spool
                stages.add(spool.stage)
        return stages

    def write(self, buffer: Buffer) -> None:
        """Put the rows of changed spools into the buffer."""
        for number, spool in self._dirty.items():
            if number in self._new:
                buffer.insert("spools", spool.row)
            else:
                buffer.replace("spools", "spool_no", number, [spool.row])
        self._dirty.clear()
        self._new.clear()

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop what is known of these runs, after a commit."""
        for run_id in run_ids:
            for spool_id in self._by_run.pop(run_id, {}):
                self._owner.pop(spool_id, None)
            self._is_complete = False

    def _open(self, record: TelemetryRecord, buffer: Buffer, run: RunState | None) -> Spool:
        owner = self._owner.get(record.spool_id)
        if owner is not None:
            message = f"spool {record.spool_id} is of run {owner}, the record is of run {record.run_id}"
            raise RecordError(message)
        spool = Spool(
            spool_no=self._next_no,
            spool_id=record.spool_id,
            run_no=self._runs.number(record.run_id, buffer),
            run_id=record.run_id,
            stage=record.stage,
            attempt=record.attempt,
            claim_id=record.claim_id,
        )
        if run is not None:
            _set_window(spool, run)
        self._next_no += 1
        self._by_run[record.run_id][record.spool_id] = spool
        self._owner[record.spool_id] = record.run_id
        self._dirty[spool.spool_no] = spool
        self._new.add(spool.spool_no)
        return spool


def _set_window(spool: Spool, run: RunState) -> bool:
    """Set the part of a spool that counts; returns whether it changed."""
    before = (spool.is_effective, spool.end_sequence, spool.chain_index)
    windows = effective.windows(run)
    spool.is_effective = spool.spool_id in windows
    spool.end_sequence = windows.get(spool.spool_id)
    spool.chain_index = _chain_index(run, spool) if spool.is_effective else None
    return before != (spool.is_effective, spool.end_sequence, spool.chain_index)


def _chain_index(run: RunState, spool: Spool) -> int | None:
    stage = run.stage(spool.stage)
    claims: Iterator[str] = (link.claim.claim_id for link in reversed(effective.chain(stage))) if stage else iter(())
    return next((index for index, claim_id in enumerate(claims) if claim_id == spool.claim_id), None)
