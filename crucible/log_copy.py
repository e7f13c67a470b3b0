"""A log copied to another place or engine: the same records, with their ids, keys, times and their order by key.

Killed anywhere, it is gone on with: what the target holds is counted by key, and compared, and the rest follows. So
partitions may be as many as they like on both sides, and the source may have grown meanwhile. A target that holds
anything that the source lacks is no copy of it, and is refused.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from crucible.codec import HEADER_BYTES
from crucible.copied_moments import moments_batch, named_moments
from crucible.copy_state import CopyState, copy_state_batch
from crucible.envelope import read_envelope
from crucible.errors import AppendUnknownError, UsageError
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.log.paging import read_pages
from crucible.log.protocol import BATCH_BYTES_MAX, Batch, Offsets, Outgoing, PartitionKey, Stored
from crucible.log_copy_held import Held
from crucible.position import Position
from crucible.records.record import Topic

COPIED: Final[tuple[Topic, ...]] = ("commands", "events", "telemetry", "dead")
"""Topics whose values are copied, in this order; schemas come before them, with the ids that they have there."""
ROUNDS_MAX: Final = 5
"""How often to look again at what the target holds, after appends whose outcome stayed unknown."""
UNKNOWN_PAUSE_S: Final = 25.0
"""Before that: longer than an append may be on its way."""
ASIDE_BYTES: Final = 250
"""What an engine may put beside a value: batches are made smaller by that."""
FIRST: Final[PartitionKey] = ("events", 0)
"""Where the record stands that gives a log its identity."""

Progress = Callable[[int, int], None]
"""Is told how many records are in the target, and how many will be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Copied:
    """What became of a copy."""

    ends: Offsets
    """Where the source ended: what lies below is in the target."""
    records: int
    """Records in the target."""
    appended: int
    """Of these, records that were not there before."""
    moments: int
    """Marks and reports whose position is another one in the target."""


class LogCopy:
    """One copy. For one thread; nobody else may write to the target meanwhile.

    ``begin``, ``run``, and ``finish`` once both logs were compared: in between nobody can open the target as a log.
    """

    def __init__(
        self,
        source: Journal,
        target: Journal,
        *,
        names: tuple[str, str] = ("SOURCE", "TARGET"),
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Copy nothing yet. ``names`` are what the command line calls the two logs."""
        self._source = source
        self._target = target
        self._names = names
        self._pause = pause

    def begin(self) -> None:
        """Say in the target that it is a copy that is not finished.

        Raises ``UsageError`` with every problem of source and target before anything is written.
        """
        self._ends = _ends(self._source)
        problems = self._source_problems() + self._target_problems()
        if problems:
            raise UsageError("\n".join(problems))
        held = Held(self._target, COPIED)
        held.require_below(self._source.log, self._ends)
        self._is_begun = held.count < sum(self._ends.values())
        if self._is_begun:
            self._say(is_finished=False)

    def run(self, progress: Progress) -> Copied:
        """Copy what the target lacks, up to where the source ended when the copy began."""
        for number in itertools.count(1):
            try:
                return self._round(self._ends, progress)
            except AppendUnknownError:
                if number == ROUNDS_MAX:
                    raise
                self._pause(UNKNOWN_PAUSE_S)
        raise AssertionError

    def finish(self) -> None:
        """Say in the target that it is whole: from now on it can be opened."""
        state = self._target.schemas.copy_state
        if self._is_begun or (state is not None and not state.is_finished):
            self._say(is_finished=True)

    def _source_problems(self) -> list[str]:
        source = self._source
        if not self._ends.get(FIRST):
            return [f"the log at {self._names[0]} is empty: there is nothing to copy"]
        source.schemas.read()
        state = source.schemas.copy_state
        if state is not None and not state.is_finished:
            return [f"{self._names[0]} is itself a copy that is not finished, of {state.source}: copy from there"]
        return []

    def _target_problems(self) -> list[str]:
        """Another identity, or records and none."""
        target, name = self._target, self._names[1]
        held = [key for key, end in _ends(target).items() if end]
        target.schemas.read()
        state = target.schemas.copy_state
        if held and not target.log.end(*FIRST):
            return [f"{name} holds {held[0][0]} and no identity: it is no log; name an empty place"]
        there = target.log_id if held else state.log_id if state is not None else None
        if there is None or not self._ends.get(FIRST) or there == self._source.log_id:
            return []
        return [f"{name} holds another log, {there}; {self._names[0]} is {self._source.log_id}: name an empty place"]

    def _say(self, *, is_finished: bool) -> None:
        self._target.put([copy_state_batch(CopyState(self._source.log_id, *self._names, is_finished=is_finished))])
        self._target.schemas.read()

    def _round(self, ends: Offsets, progress: Progress) -> Copied:
        source, target = self._source, self._target
        held = Held(target, COPIED)
        held.require_below(source.log, ends)
        moments = named_moments(source, ends)
        walk = _Walk(source, target, held, sum(ends.values()), progress)
        fault_point("copy:begun")
        walk.go({FIRST: 1})
        target.schemas.read()
        for position, event_ids in _slices(moments):
            walk.go({key: min(offset, ends.get(key, 0)) for key, offset in position.offsets.items()})
            if held.is_exhausted:  # else the copy has gone on from here before, and said where this is
                self._note(event_ids, position)
        walk.go(ends)
        moved = sum(event_id in target.schemas.moments for event_id in moments)
        return Copied(ends, walk.done, walk.appended, moved)

    def _note(self, event_ids: Sequence[str], position: Position) -> None:
        """Say in the target where these moments lie there, before a record from behind them comes."""
        log, known = self._target.log, self._target.schemas.moments
        topics = {topic for topic, _ in position.offsets}
        here = Position({(each, part): log.end(each, part) for each in sorted(topics) for part in log.partitions(each)})
        missing = {event_id: here for event_id in event_ids if event_id not in known}
        if missing and str(here) != str(position):
            self._target.log.append([moments_batch(missing)])
            self._target.schemas.read()
            fault_point("copy:noted")


class _Walk:
    """The way through the source: what the target has is passed over, the rest appended."""

    def __init__(self, source: Journal, target: Journal, held: Held, total: int, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._held = held
        self._ids = target.schemas.carry(source.schemas.found())
        self._next: dict[PartitionKey, int] = {}
        self._names: dict[bytes, str] = {}
        self._total = total
        self._progress = progress
        self.done = 0
        self.appended = 0

    def go(self, offsets: Offsets) -> None:
        """Copy up to these offsets, each partition on from where it was."""
        for topic in COPIED:
            for partition in self._source.log.partitions(topic):
                self._copy((topic, partition), offsets.get((topic, partition), 0))

    def _copy(self, key: PartitionKey, end: int) -> None:
        for page in read_pages(self._source.log, *key, self._next.get(key, 0), end):
            missing = [stored for stored in page if not self._held.take(stored)]
            if missing:
                self._target.log.append(list(self._batches(missing)))
                fault_point("copy:appended")
            self._next[key] = page[-1].offset + 1
            self.done += len(page)
            self.appended += len(missing)
            self._progress(self.done, self._total)

    def _batches(self, values: Sequence[Stored]) -> Iterator[Batch]:
        """Values as batches: those of one key that stand one after the other go together."""
        waiting: list[Outgoing] = []
        size, last = 0, values[0]
        for stored in values:
            cost = len(stored.value) + len(stored.key) + ASIDE_BYTES
            if waiting and (stored.key != last.key or size + cost > BATCH_BYTES_MAX or last.offset == 0):
                yield self._batch(last, waiting)
                waiting, size = [], 0
            waiting.append(self._outgoing(stored))
            size += cost
            last = stored
        yield self._batch(last, waiting)

    def _batch(self, last: Stored, values: Sequence[Outgoing]) -> Batch:
        """The record that gives the log its identity goes to partition 0, wherever its key would go."""
        is_identity = (last.topic, last.partition, last.offset) == (*FIRST, 0)
        return Batch(last.topic, last.key, values, partition=0 if is_identity else None)

    def _outgoing(self, stored: Stored) -> Outgoing:
        """A value with the id that its schema has in the target."""
        value = stored.value
        name = self._record_type(stored)
        if name is not None:  # what names no schema is copied as it is
            there = int.from_bytes(value[1:HEADER_BYTES], "big")
            if (here := self._ids.get(there, there)) != there:
                value = value[:1] + here.to_bytes(HEADER_BYTES - 1, "big") + value[HEADER_BYTES:]
        envelope = read_envelope(value) if name is not None else None
        if name is None or envelope is None:
            return Outgoing(f"{stored.topic}-{stored.partition}-{stored.offset}", name or "Unknown", value)
        return Outgoing(envelope.event_id, name, value, envelope.traceparent, envelope.actor, envelope.occurred_at_us)

    def _record_type(self, stored: Stored) -> str | None:
        """As `Journal.record_type`, asked once for each schema."""
        header = stored.value[:HEADER_BYTES]
        name = self._names.get(header)
        if name is None and (name := self._source.record_type(stored)) is not None:
            self._names[header] = name
        return name


def _ends(journal: Journal) -> dict[PartitionKey, int]:
    """The ends of a log, asked for so that what a record names lies below: telemetry's first, commands' last."""
    log = journal.log
    return {(topic, part): log.end(topic, part) for topic in reversed(COPIED) for part in log.partitions(topic)}


def _slices(moments: Mapping[str, Position]) -> Iterator[tuple[Position, list[str]]]:
    """The moments in the order in which they came, those of one position together."""
    by_position: dict[str, list[str]] = {}
    for event_id, position in moments.items():
        by_position.setdefault(str(position), []).append(event_id)
    positions = sorted((Position.parse(text) for text in by_position), key=lambda each: sum(each.offsets.values()))
    for position in positions:
        yield position, by_position[str(position)]
