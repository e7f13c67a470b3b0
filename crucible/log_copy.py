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
from crucible.envelope import read_envelope
from crucible.errors import AppendUnknownError, LogRefusedError
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
    """One copy. For one thread; nobody else may write to the target meanwhile."""

    def __init__(self, source: Journal, target: Journal, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Copy nothing yet."""
        self._source = source
        self._target = target
        self._pause = pause

    def run(self, progress: Progress) -> Copied:
        """Copy what the target lacks, up to where the source ends now.

        Raises ``LogRefusedError`` for a target that is no copy of the source, before anything is written to it.
        """
        ends = _ends(self._source)
        if not ends.get(FIRST):
            message = f"the log at {self._source.log.location} is empty: there is nothing to copy"
            raise LogRefusedError(message)
        self._require_target()
        for number in itertools.count(1):
            try:
                return self._round(ends, progress)
            except AppendUnknownError:
                if number == ROUNDS_MAX:
                    raise
                self._pause(UNKNOWN_PAUSE_S)
        raise AssertionError

    def _require_target(self) -> None:
        """Refuse a target with another identity, or with records and none."""
        source, target = self._source, self._target
        held = [key for key, end in _ends(target).items() if end]
        if not held:
            return
        if not target.log.end(*FIRST):
            message = f"{target.log.location} holds {held[0][0]} and no identity: it is no log; name an empty place"
            raise LogRefusedError(message)
        if target.log_id != source.log_id:
            message = (
                f"{target.log.location} holds another log, {target.log_id}; the source is {source.log_id}: "
                "name an empty place"
            )
            raise LogRefusedError(message)

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
        envelope = read_envelope(value)
        name = self._record_type(stored)
        if name is None or envelope is None:  # whatever it is, it is copied as it is
            return Outgoing(f"{stored.topic}-{stored.partition}-{stored.offset}", name or "Unknown", value)
        there = int.from_bytes(value[1:HEADER_BYTES], "big")
        if (here := self._ids.get(there, there)) != there:
            value = value[:1] + here.to_bytes(HEADER_BYTES - 1, "big") + value[HEADER_BYTES:]
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
