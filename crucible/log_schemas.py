"""The schemas of a log: which schema each id stands for there, and the ids that records are written with.

What topic ``schemas`` says is what counts. A schema is put there, with its id, before its first use, so that the log
can be read alone. Its id is the one that a schema registry gives it, if there is one; else the one that the log has for
it already; else 31 bits of its text's SHA-256.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from crucible.canonical import canonical_json
from crucible.codec import Codec
from crucible.copied_moments import moments_of
from crucible.copy_state import CopyState, copy_state_of
from crucible.errors import LogError, RecordError
from crucible.log.protocol import Batch, Log, Outgoing, Stored
from crucible.records.record import RECORD_TYPES, Record
from crucible.records.schema import SCHEMA_ID_MAX, RecordSchema, latest_schema, own_schemas, parse_schema_text


class SchemaRegistry(Protocol):
    """Whoever gives schemas their ids."""

    def ids_of(self, schemas: Sequence[RecordSchema]) -> Sequence[int]:
        """The ids of schemas, each registered if it was not; 0 to ``SCHEMA_ID_MAX``. Raises ``RegistryError``."""
        ...


class LogSchemas:
    """What topic ``schemas`` of a log says, and what is put there. Every method may be called from any thread."""

    def __init__(
        self, log: Log, codec: Codec, registry: SchemaRegistry | None, *, send: Callable[[Sequence[Batch]], object]
    ) -> None:
        """``send`` appends batches and returns once they are durable."""
        self._log = log
        self._codec = codec
        self._registry = registry
        self._send = send
        self._reading = threading.Lock()
        self._settling = threading.Lock()
        self._offsets: dict[int, int] = {}
        self._is_read = False
        self._found: dict[int, RecordSchema] = {}
        """By id, in the order in which they came."""
        self._ids: dict[str, int] = {}
        """The last id of each identity."""
        self.moments: dict[str, str] = {}
        """On a copy: where moments of the original lie, by the event that names them. As of the last ``read``."""
        self.copy_state: CopyState | None = None
        """On a copy: whether it is finished. As of the last ``read``."""
        self._settled: set[type[Record]] = set()
        """Record types that are written with an id that stands on the log."""

    def found(self) -> Sequence[RecordSchema]:
        """The schemas that the log has now, in the order in which they came. Raises as ``read``."""
        self.read()
        with self._reading:
            return list(self._found.values())

    def find(self, schema_id: int) -> None:
        """Look for a schema on the log, if that has not been done yet. Raises as ``read``."""
        if not self._is_read or not self._codec.has_schema(schema_id):
            self.read()

    def is_settled(self, record_types: Iterable[type[Record]]) -> bool:
        """Whether the schemas of these types stand on the log, with the ids that the codec writes."""
        return self._settled.issuperset(record_types)

    def settle(self) -> None:
        """Give every record type its id and put the schemas on the log that it lacks: so a log pays once.

        All at once, so that a registry that is lost later stops nobody who has begun. Raises ``RegistryError``, and
        ``LogRefusedError`` if an id stands for another schema on this log, both before anything is written.
        """
        self.read()
        with self._settling:
            schemas = [latest_schema(name) for name, kind in RECORD_TYPES.items() if kind not in self._settled]
            ids = self._ids_of(schemas)
            written = [dataclasses.replace(each, schema_id=found) for each, found in zip(schemas, ids, strict=True)]
            self._put(written)
            for schema in written:
                self._codec.write_as(schema)
            self._settled.update(RECORD_TYPES[schema.name] for schema in written)

    def announce(self, schema_ids: Iterable[int]) -> None:
        """Put schemas of this version on the log that records there use and that it lacks. Raises as ``settle``."""
        self.read()
        own = own_schemas()
        with self._settling:
            self._put([own[schema_id] for schema_id in schema_ids if schema_id in own])

    def carry(self, schemas: Sequence[RecordSchema]) -> dict[int, int]:
        """Put the schemas of another log here; for each id there the id here. Raises as ``settle``."""
        self.read()
        with self._settling:
            ids = [each.schema_id for each in schemas] if self._registry is None else self._registry.ids_of(schemas)
            self._put([dataclasses.replace(each, schema_id=here) for each, here in zip(schemas, ids, strict=True)])
            return {each.schema_id: here for each, here in zip(schemas, ids, strict=True)}

    def read(self) -> None:
        """Learn what has come to the topic. Raises as ``Log.read``, and ``LogRefusedError`` for a collision of ids."""
        with self._reading:
            for partition in self._log.partitions("schemas"):
                end = self._log.end("schemas", partition)
                offset = self._offsets.get(partition, 0)
                while offset < end:
                    page = self._log.read("schemas", partition, offset)
                    if not page:
                        message = f"the log at {self._log.location} gives nothing of schemas/{partition} at {offset}"
                        raise LogError(message)
                    for stored in page:
                        self._learn(stored)
                    offset = page[-1].offset + 1
                    self._offsets[partition] = offset
            self._is_read = True

    def _ids_of(self, schemas: Sequence[RecordSchema]) -> Sequence[int]:
        if self._registry is not None:
            return self._registry.ids_of(schemas)
        return [self._ids.get(schema.identity, schema.schema_id) for schema in schemas]

    def _put(self, schemas: Sequence[RecordSchema]) -> None:
        for schema in schemas:
            self._codec.learn(schema)
        missing = [schema for schema in schemas if schema.schema_id not in self._found]
        if missing:
            self._send([_batch(schema) for schema in missing])
        with self._reading:
            for schema in missing:
                self._note(schema)

    def _learn(self, stored: Stored) -> None:
        """Take in one schema. A value that is none is passed over: records that need it become dead letters."""
        schema = schema_of(stored.value)
        if schema is not None:
            self._codec.learn(schema)
            self._note(schema)
        elif (state := copy_state_of(stored.value)) is not None:
            self.copy_state = state
        else:
            self.moments.update(moments_of(stored.value))

    def _note(self, schema: RecordSchema) -> None:
        self._found.setdefault(schema.schema_id, schema)
        self._ids[schema.identity] = schema.schema_id


def schema_of(value: bytes) -> RecordSchema | None:
    """The schema that a value of topic ``schemas`` names, with its id; None if it is none."""
    try:
        named = json.loads(value)
        text, schema_id = named["schema"], named["id"]
        if type(schema_id) is not int or not 0 <= schema_id <= SCHEMA_ID_MAX:
            return None
        own = own_schemas().get(schema_id)
        return own if own is not None and own.text == text else parse_schema_text(text, schema_id)
    except (RecordError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _batch(schema: RecordSchema) -> Batch:
    value = canonical_json({"subject": schema.subject, "id": schema.schema_id, "schema": schema.text}).encode()
    outgoing = Outgoing(event_id=f"schema-{schema.schema_id}", record_type="Schema", value=value)
    return Batch(topic="schemas", key=schema.subject, values=[outgoing])
