"""The typed log: records in, records out.

A journal stamps records with who and when, puts each schema on the log before its first use, sends an append whose
outcome is unknown again with the same ids, and reads schemas that it does not know from the log itself.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from crucible.canonical import canonical_json
from crucible.codec import Codec
from crucible.errors import AppendUnknownError, LogError, LogRefusedError, RecordError
from crucible.log.protocol import Appended, Batch, Log, Outgoing, Stored
from crucible.place import Place
from crucible.ports import Clock, Ids, SystemClock, SystemIds
from crucible.records.log_events import LogCreated
from crucible.records.record import RECORD_TYPES, R, Record, Topic
from crucible.records.schema import RecordSchema, latest_schema, own_schemas, parse_schema_text
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

    def __init__(self, log: Log, *, clock: Clock, ids: Ids, actor: str) -> None:
        self.log = log
        self.clock = clock
        self.ids = ids
        self.actor = actor
        self._codec = Codec()
        self._lock = threading.Lock()
        self._schemas_read: dict[int, int] = {}
        self._on_log: set[int] = set()
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
        """Give an empty log its identity, and return that of this log. Of several writers at once the first counts."""
        if self._log_id is None and not self.log.end("events", 0):
            created = self._batch([self.make(LogCreated, log_id=self.ids.uuid7(), crucible_version=VERSION)])
            # Readers look for it in partition 0, wherever its key would go.
            self._append([dataclasses.replace(created, partition=0)])
        return self.log_id

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
        (appended,) = self._append([self._batch(records)])
        return appended

    def append_batches(self, batches: Sequence[Sequence[Record]]) -> None:
        """Append many batches, each as ``append`` does, with few commits; returns once all are durable."""
        if batches:
            self._append([self._batch(records) for records in batches])

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
            if not codec.has_schema_of(stored.value):
                self._read_schemas()
            return Entry(stored, codec.decode(stored.value), None)
        except RecordError as error:
            return Entry(stored, None, str(error))

    def schema_of(self, value: bytes) -> RecordSchema | None:
        """The schema that a value was written in; None if it names none that this version or the log knows."""
        codec = self._codec
        try:
            schema_id = codec.schema_id(value)
        except RecordError:
            return None
        if not codec.has_schema(schema_id):
            self._read_schemas()
        return codec.schema(schema_id)

    def record_type(self, stored: Stored) -> str | None:
        """The name of a value's record type, told without decoding it; None: it is none. Raises as ``Log.read``."""
        codec = self._codec
        try:
            if not codec.has_schema(codec.schema_id(stored.value)):
                self._read_schemas()
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

    def _append(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        used = {int.from_bytes(value.value[1:5], "big") for batch in batches for value in batch.values}
        if not used <= self._on_log:
            self._announce(used)
        return self._send(batches)

    def _send(self, batches: Sequence[Batch]) -> Sequence[Appended]:
        delay_s = APPEND_DELAY_S
        for _ in range(APPEND_ATTEMPTS_MAX - 1):
            try:
                return self.log.append(batches)
            except AppendUnknownError:
                self.clock.sleep(delay_s)
                delay_s *= 2
        return self.log.append(batches)

    def announce(self, schema_ids: Sequence[int]) -> None:
        """Put schemas of this version on the log that records there use and that it lacks."""
        self._announce(set(schema_ids))

    def _announce(self, used: set[int]) -> None:
        """Put the schemas on the log that it lacks: all that this version writes, so that a log pays once."""
        self._read_schemas()
        with self._lock:
            if used <= self._on_log:
                return
            written = [latest_schema(name) for name in RECORD_TYPES]
            missing = [schema for schema in written if schema.schema_id not in self._on_log]
            self._send([_schema_batch(schema) for schema in missing])
            self._on_log.update(schema.schema_id for schema in missing)

    def _read_schemas(self) -> None:
        """Learn what others have put on topic ``schemas``. Raises ``LogRefusedError`` for a collision of ids."""
        with self._lock:
            for partition in self.log.partitions("schemas"):
                end = self.log.end("schemas", partition)
                offset = self._schemas_read.get(partition, 0)
                while offset < end:
                    page = self.log.read("schemas", partition, offset)
                    if not page:
                        message = f"the log at {self.log.location} gives nothing of schemas/{partition} at {offset}"
                        raise LogError(message)
                    for stored in page:
                        self._learn(stored)
                    offset = page[-1].offset + 1
                    self._schemas_read[partition] = offset

    def _learn(self, stored: Stored) -> None:
        """Take in one schema. A value that is none is passed over: records that need it become dead letters."""
        try:
            value = json.loads(stored.value)
            schema = own_schemas().get(value["id"])
            if schema is None or schema.text != value["schema"]:
                schema = parse_schema_text(value["schema"], int(value["id"]))
        except (RecordError, ValueError, KeyError, TypeError):
            return
        self._codec.learn(schema)
        self._on_log.add(schema.schema_id)


def _schema_batch(schema: RecordSchema) -> Batch:
    value = canonical_json({"subject": schema.subject, "id": schema.schema_id, "schema": schema.text}).encode()
    outgoing = Outgoing(event_id=f"schema-{schema.schema_id}", record_type="Schema", value=value)
    return Batch(topic="schemas", key=schema.subject, values=[outgoing])


def open_journal(place: Place, *, actor: str, clock: Clock | None = None, ids: Ids | None = None) -> Journal:
    """The journal of the log of ``place``, which is made if it is not there.

    Of several processes that make it at once the first one's ``LogCreated`` counts. Raises ``LogError``.
    """
    from crucible.log.opening import open_log

    place.create()
    clock = clock or SystemClock()
    return journal_of(open_log(place, clock=clock), actor=actor, clock=clock, ids=ids)


def journal_of(log: Log, *, actor: str, clock: Clock | None = None, ids: Ids | None = None) -> Journal:
    """The journal of an open log, to which an identity is given if it is empty. Closes the log if that fails."""
    journal = Journal(log, clock=clock or SystemClock(), ids=ids or SystemIds(), actor=actor)
    try:
        journal.identify()
    except BaseException:
        journal.close()
        raise
    return journal
