"""The typed log: records in, records out.

A journal stamps records with who and when, puts each schema on the log before its first use, sends an append whose
outcome is unknown again with the same ids, and reads schemas that it does not know from the log itself.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from crucible.codec import Codec
from crucible.copy_state import raise_if_unfinished
from crucible.errors import AppendUnknownError, LogError, LogRefusedError, RecordError
from crucible.log.protocol import Appended, Batch, Log, Outgoing, Stored
from crucible.log_schemas import LogSchemas, SchemaRegistry
from crucible.place import Place
from crucible.ports import Clock, Ids, SystemClock, SystemIds
from crucible.position import Position
from crucible.records.log_events import LogCreated
from crucible.records.record import R, Record, Topic
from crucible.records.schema import RecordSchema
from crucible.version import VERSION

if TYPE_CHECKING:
    from crucible.rules.draft import Draft

APPEND_ATTEMPTS_MAX = 5
"""How often a batch is sent when outcomes stay unknown."""
RECENT_EVENTS = 4_096
"""Events kept decoded: the parts of one process read the same ones within moments of each other."""
APPEND_DELAY_S = 0.05
"""Wait before the second attempt; doubles with each further one."""


class Entry(NamedTuple):
    """A value of the log and what it says."""

    stored: Stored
    record: Record | None
    """None: a type that this version does not know (to be skipped and counted), or no record at all."""
    problem: str | None
    """Why the value can't be decoded (a dead letter); None if it can, or if its type is unknown."""


class Journal:
    """A log of records. Every method may be called from any thread."""

    def __init__(self, log: Log, *, clock: Clock, ids: Ids, actor: str, registry: SchemaRegistry | None = None) -> None:
        """Without a ``registry`` the ids of schemas come from the log itself."""
        self.log = log
        self.clock = clock
        self.ids = ids
        self.actor = actor
        self._codec = Codec()
        self.schemas = LogSchemas(log, self._codec, registry, send=self._send)
        self._log_id: str | None = None
        self._recent: list[Entry | None] = [None] * RECENT_EVENTS

    def acting_as(self, actor: str) -> Journal:
        """The same log with records stamped as written by ``actor``: schemas and decoded events are shared."""
        other = copy.copy(self)
        other.actor = actor
        return other

    @property
    def log_id(self) -> str:
        """The identity of the log: that of its first ``LogCreated``. Raises ``LogError`` if it has none."""
        if self._log_id is None:
            first = self.read("events", 0, 0, limit=1)
            if not first:
                message = f"the log at {self.log.location} is empty and has no identity yet: open it with open_journal"
                raise LogError(message)
            if not isinstance(first[0].record, LogCreated):
                message = f"the log at {self.log.location} does not begin with LogCreated: it is no Crucible log"
                raise LogRefusedError(message)
            self._log_id = first[0].record.log_id
        return self._log_id

    def identify(self) -> str:
        """Give an empty log its identity, and return that of this log. Of several writers at once the first counts.

        Raises ``UsageError`` for a copy that is not finished, before anything is written.
        """
        self.require_whole()
        if self._log_id is None and not self.log.end("events", 0):
            self.schemas.settle()
            # Readers look for it in partition 0, wherever its key would go.
            self.append_at(0, self.make(LogCreated, log_id=self.ids.uuid7(), crucible_version=VERSION))
        return self.log_id

    def require_whole(self) -> None:
        """Raise ``UsageError`` if this log is a copy that is not finished."""
        self.schemas.read()
        raise_if_unfinished(self.schemas.copy_state, self.log.location)

    def make(
        self, record_type: type[R], *, event_id: str | None = None, causation: Record | None = None, **fields: Any
    ) -> R:
        """A record with its header stamped: id (a new UUIDv7 unless given), time, actor, what caused it.

        Raises ``RecordError`` that names record and field for a forgotten or an unknown field.
        """
        return record_type(
            event_id=self.ids.uuid7() if event_id is None else event_id,
            occurred_at_us=self.clock.now_us(),
            actor=self.actor,
            causation_id=None if causation is None else causation.event_id,
            correlation_id=None if causation is None else causation.correlation_id or causation.event_id,
            traceparent=None if causation is None else causation.traceparent,
            **fields,
        )

    def stamp(self, draft: Draft) -> Record:
        """The record of a draft, whose id and causes a rule has decided."""
        return draft.record_type(
            event_id=draft.event_id,
            occurred_at_us=self.clock.now_us(),
            actor=self.actor,
            causation_id=draft.causation_id,
            correlation_id=draft.correlation_id,
            traceparent=None,
            **draft.fields,
        )

    def append(self, *records: Record) -> Appended:
        """Append records of one topic and one key as one atomic batch; returns once it is durable.

        An unknown outcome is sent again with the same ids, ``APPEND_ATTEMPTS_MAX`` times at most; then
        ``AppendUnknownError``. Raises ``RecordError`` for a record that is not what its schema says and
        ``LogRefusedError`` for a batch that the log does not take, both before anything is written.
        """
        (appended,) = self._append([records])
        return appended

    def append_at(self, partition: int, record: Record) -> Appended:
        """Append a record to a partition of its topic, wherever its key would go. Raises as ``append``."""
        (appended,) = self._append([[record]], partition)
        return appended

    def append_batches(self, batches: Sequence[Sequence[Record]]) -> None:
        """Append many batches, each as ``append`` does, with few commits; returns once all are durable."""
        if batches:
            self._append(batches)

    def put(self, batches: Sequence[Batch]) -> None:
        """Append batches that are made already, sent again as ``append`` does if an outcome stays unknown."""
        self._send(batches)

    def read(self, topic: Topic, partition: int, offset: int, limit: int = 10_000) -> list[Entry]:
        """Up to ``limit`` entries from ``offset`` on; empty at the end. Raises as ``Log.read``."""
        found = self.log.read(topic, partition, offset, limit)
        return [self._event(stored) for stored in found] if topic == "events" else [self.entry(each) for each in found]

    def close(self) -> None:
        """Close the log. Safe to call twice."""
        self.log.close()

    def entry(self, stored: Stored) -> Entry:
        """What a value of this log says: for readers that choose by key what they decode. Raises as ``Log.read``."""
        codec = self._codec
        try:
            if not codec.has_decoded(stored.value):
                self.schemas.find(codec.schema_id(stored.value))
            return Entry(stored, codec.decode(stored.value), None)
        except RecordError as error:
            return Entry(stored, None, str(error))

    def position_here(self, event_id: str, position: Position) -> Position:
        """Where the moment lies that an event names: on a copy of a log that may be another position."""
        self.schemas.read()
        moved = self.schemas.moments.get(event_id)
        return position if moved is None else Position.parse(moved)

    def schema_of(self, value: bytes) -> RecordSchema | None:
        """The schema that a value was written in; None if it names none that this version or the log knows."""
        codec = self._codec
        try:
            schema_id = codec.schema_id(value)
        except RecordError:
            return None
        self.schemas.find(schema_id)
        return codec.schema(schema_id)

    def record_type(self, stored: Stored) -> str | None:
        """The name of a value's record type, told without decoding it; None: it is none. Raises as ``Log.read``."""
        codec = self._codec
        try:
            if not codec.has_decoded(stored.value):
                self.schemas.find(codec.schema_id(stored.value))
            return codec.record_name(stored.value)
        except RecordError:
            return None

    def _event(self, stored: Stored) -> Entry:
        """The entry of an event, decoded once for all parts of this process: records are never changed."""
        slot = stored.offset % RECENT_EVENTS
        known = self._recent[slot]
        if known is not None and known.stored == stored:
            return known
        entry = self.entry(stored)
        self._recent[slot] = entry
        return entry

    def _batch(self, records: Sequence[Record]) -> Batch:
        if len({(record.TOPIC, record.key) for record in records}) != 1:
            kinds = ", ".join(sorted({f"{record.TOPIC} {record.key}" for record in records})) or "no record"
            message = f"a batch holds records of one topic and one key, this one {kinds}; append one batch for each"
            raise LogRefusedError(message)
        values = [
            Outgoing(
                event_id=record.event_id,
                record_type=type(record).__name__,
                value=self._codec.encode(record),
                traceparent=record.traceparent,
                actor=record.actor,
                occurred_at_us=record.occurred_at_us,
            )
            for record in records
        ]
        return Batch(topic=records[0].TOPIC, key=records[0].key, values=values)

    def _append(self, batches: Sequence[Sequence[Record]], partition: int | None = None) -> Sequence[Appended]:
        is_settled = self.schemas.is_settled({type(record) for records in batches for record in records})
        made = [self._batch(records) for records in batches]
        if not is_settled:
            self.schemas.settle()
            made = [self._batch(records) for records in batches]
        if partition is not None:
            made = [dataclasses.replace(batch, partition=partition) for batch in made]
        return self._send(made)

    def _send(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        delay_s = APPEND_DELAY_S
        for _ in range(APPEND_ATTEMPTS_MAX - 1):
            try:
                return self.log.append(batches)
            except AppendUnknownError:
                self.clock.sleep(delay_s)
                delay_s *= 2
        return self.log.append(batches)


def open_journal(place: Place, *, actor: str, clock: Clock | None = None, ids: Ids | None = None) -> Journal:
    """The journal of the log of ``place``, which is made if it is not there.

    Of several processes that make it at once the first one's ``LogCreated`` counts. Raises ``LogError``, and
    ``UsageError`` for a place that has lost its log.
    """
    from crucible.log.opening import open_log
    from crucible.lost_log import raise_if_lost

    raise_if_lost(place)
    place.create()
    clock = clock or SystemClock()
    log = open_log(place, clock=clock)
    return journal_of(log, actor=actor, clock=clock, ids=ids, registry=registry_of(place, clock))


def journal_of(
    log: Log, *, actor: str, clock: Clock | None = None, ids: Ids | None = None, registry: SchemaRegistry | None = None
) -> Journal:
    """The journal of an open log, to which an identity is given if it is empty. Closes the log if that fails."""
    journal = Journal(log, clock=clock or SystemClock(), ids=ids or SystemIds(), actor=actor, registry=registry)
    try:
        journal.identify()
    except BaseException:
        journal.close()
        raise
    return journal


def registry_of(place: Place, clock: Clock) -> SchemaRegistry | None:
    """The schema registry that gives ids to what is written to a place's log, if there is one."""
    if place.registry is None:
        return None
    from crucible.registry_address import parse_registry_address
    from crucible.registry_client import RegistryClient

    return RegistryClient(parse_registry_address(place.registry), clock=clock, prefix=place.topic_prefix)
