"""The one place where records become bytes and bytes become records.

The wire format is the field's own: a zero byte, the schema's id in four big-endian bytes, the Avro body. Writing is
strict, reading believes nothing: all bytes are consumed, ranges are checked, and whatever the bytes are, the only
error is ``RecordError``. Whether bytes arrived as they were written is the matter of the log's checksum.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import re
from collections.abc import Iterable
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import to_parsing_canonical_form

from crucible.errors import LogRefusedError, RecordError
from crucible.records.checks import IsInRange, Prepare, WrongValueError, preparer, range_check, scalar_types
from crucible.records.columns import (
    COLUMN_BYTES_MIN,
    COLUMN_POINTS_MIN,
    Column,
    OtherBlocksError,
    as_array,
    decode_column,
    encode_column,
    split_columns,
)
from crucible.records.record import RECORD_TYPES, Record
from crucible.records.schema import RecordSchema, latest_schema, own_schemas

MAGIC = b"\x00"
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")
"""How Python shows an object that has no text of its own."""
HEADER_BYTES = 5
DECODE_ERRORS = (
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    AttributeError,
    SchemaResolutionError,
)
"""What fastavro raises on bytes that are no record (UnicodeDecodeError is a ValueError)."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Writer:
    """How one record type is written."""

    prefix: bytes
    parsed: Any
    fields: tuple[tuple[str, frozenset[type], Prepare], ...]
    has_rule: bool
    head: Any
    """The schema without the columns of numbers at its end."""
    columns: tuple[Column, ...]


_UNSEEN: Any = object()
"""Stands for the reader of a schema of which nothing was decoded yet."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Reader:
    """How records of one schema id are read."""

    record_type: type[Record]
    writer: Any
    target: Any | None
    """The schema to resolve to; None if the writer's fields are ours."""
    ranges: tuple[tuple[str, IsInRange], ...]
    has_rule: bool
    head: Any
    """The schema without the columns of numbers at its end."""
    columns: tuple[Column, ...]
    """Those columns; none if the record is resolved to another schema."""


class Codec:
    """Encodes records and decodes what it has the schema of: what it has learned from a log, else our own versions."""

    def __init__(self) -> None:
        self._schemas: dict[int, RecordSchema] = dict(own_schemas())
        self._learned: set[int] = set()
        self._readers: dict[bytes, _Reader | None] = {}
        self._prefixes: dict[type[Record], bytes] = {}

    def encode(self, record: Record) -> bytes:
        """The bytes of a record. Raises ``RecordError`` that names record and field if its schema says otherwise."""
        writer = _writer(type(record))
        values = record.__dict__
        try:
            if writer.columns and len(values[writer.columns[0].name]) >= COLUMN_POINTS_MIN:
                values, body = _encode_columns(writer, values)
            else:
                values = _prepared(writer.fields, values)
                body = _encode_body(writer.parsed, values)
        except (WrongValueError, *DECODE_ERRORS) as error:
            raise RecordError(_why_not_written(record, writer, error)) from None
        if writer.has_rule and (problem := _made(type(record), values).problem()):
            message = f"{type(record).__name__}: {problem}"
            raise RecordError(message)
        return self._prefixes.get(type(record), writer.prefix) + body

    def decode(self, value: bytes) -> Record | None:
        """The record of these bytes; None for a type that this version does not know.

        Raises ``RecordError`` for anything else, a schema id that is not known among them.
        """
        reader = self._readers.get(value[:HEADER_BYTES], _UNSEEN)
        if reader is _UNSEEN:
            reader = self._reader(value)
        if reader is None:
            return None
        name = reader.record_type.__name__
        try:
            fields, end = _decode_body(reader, value)
        except DECODE_ERRORS as error:
            why = f"{type(error).__name__}: {_without_address(error)}"
            message = f"{name}: {len(value)} bytes are no record of its schema ({why})"
            raise RecordError(message) from None
        if end != len(value):
            message = f"{name}: {len(value) - end} bytes are left over after the record"
            raise RecordError(message)
        for field, is_in_range in reader.ranges:
            if not is_in_range(fields[field]):
                message = f"{name}.{field}: a number is outside the range of its type"
                raise RecordError(message)
        record = _made(reader.record_type, fields if reader.target is None else _fresh(fields))
        if reader.has_rule and (problem := record.problem()):
            message = f"{name}: {problem}"
            raise RecordError(message)
        return record

    def schema_id(self, value: bytes) -> int:
        """The schema id in the header. Raises ``RecordError`` if there is no header."""
        if len(value) < HEADER_BYTES or value[:1] != MAGIC:
            message = f"{len(value)} bytes that begin with {value[:HEADER_BYTES].hex()!r} are no record: no header"
            raise RecordError(message)
        return int.from_bytes(value[1:HEADER_BYTES], "big")

    def record_name(self, value: bytes) -> str | None:
        """The name of a record's type, told by its header alone; None if its schema is not known."""
        schema = self._schemas.get(self.schema_id(value))
        return schema.name if schema is not None else None

    def has_decoded(self, value: bytes) -> bool:
        """Whether a value with this header was decoded or skipped before."""
        return value[:HEADER_BYTES] in self._readers

    def has_schema(self, schema_id: int) -> bool:
        """Whether records of this schema id can be decoded or skipped."""
        return schema_id in self._schemas

    def schema(self, schema_id: int) -> RecordSchema | None:
        """The schema of this id, if it is known."""
        return self._schemas.get(schema_id)

    def learn(self, schema: RecordSchema) -> None:
        """Take in a schema of a log, which alone says what its ids stand for: it wins over one of ours with that id.

        Raises ``LogRefusedError`` if the log says otherwise already.
        """
        schema_id = schema.schema_id
        if schema_id not in self._learned:
            self._schemas[schema_id] = schema
            self._learned.add(schema_id)
            self._readers.pop(_header(schema_id), None)
        elif (known := self._schemas[schema_id]).identity != schema.identity:
            message = (
                f"schema id {schema_id} stands for two schemas, of {known.name} and {schema.name}: the ids of this log "
                "and those of this version or registry don't go together; "
                "use the registry that the log was begun with, or another log"
            )
            raise LogRefusedError(message)

    def write_as(self, schema: RecordSchema) -> None:
        """From now on, write records of this schema's type with its id."""
        self._prefixes[RECORD_TYPES[schema.name]] = _header(schema.schema_id)

    def _reader(self, value: bytes) -> _Reader | None:
        schema_id = self.schema_id(value)
        schema = self._schemas.get(schema_id)
        if schema is None:
            message = f"schema id {schema_id} is not known here and not on the log's topic schemas"
            raise RecordError(message)
        reader = self._readers[value[:HEADER_BYTES]] = _make_reader(schema)
        return reader


def _header(schema_id: int) -> bytes:
    return MAGIC + schema_id.to_bytes(HEADER_BYTES - 1, "big")


def _without_address(error: Exception) -> str:
    """What an error says, the same in every process: a reason of a dead letter is content of the read model."""
    return _ADDRESS.sub("the record", str(error))


@functools.cache
def _default() -> Codec:
    return Codec()


def encode(record: Record) -> bytes:
    """``Codec.encode``."""
    return _default().encode(record)


def decode(value: bytes) -> Record | None:
    """``Codec.decode`` with this version's own schemas."""
    return _default().decode(value)


def _prepared(fields: Iterable[tuple[str, frozenset[type], Prepare]], values: dict[str, Any]) -> dict[str, Any]:
    """The values as they are written; the same mapping if they can be written as they are."""
    changed: dict[str, Any] | None = None
    for name, exact, prepare in fields:
        value = values[name]
        if type(value) not in exact:
            prepared = prepare(value, name)
            if prepared is not value:
                changed = changed or {}
                changed[name] = prepared
    return values if changed is None else {**values, **changed}


def _encode_body(schema: Any, values: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, values)
    return buffer.getvalue()


def _encode_columns(writer: _Writer, values: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Values as they are written and the body, with long columns encoded as a whole."""
    head = len(writer.fields) - len(writer.columns)
    values = dict(_prepared(writer.fields[:head], values))
    parts = [_encode_body(writer.head, values)]
    for column, (name, _, prepare) in zip(writer.columns, writer.fields[head:], strict=True):
        values[name] = as_array(column, values[name], prepare)
        parts.append(encode_column(values[name]))
    return values, b"".join(parts)


def _decode_body(reader: _Reader, value: bytes) -> tuple[dict[str, Any], int]:
    """The fields after the header, and where they end."""
    buffer = io.BytesIO(value)
    buffer.seek(HEADER_BYTES)
    if reader.columns and len(value) >= COLUMN_BYTES_MIN:
        try:
            fields: Any = fastavro.schemaless_reader(buffer, reader.head, None)
            end = buffer.tell()
            for column in reader.columns:
                fields[column.name], end = decode_column(value, end, column.avro_type)
        except OtherBlocksError:
            buffer.seek(HEADER_BYTES)
        else:
            return fields, end
    fields = fastavro.schemaless_reader(buffer, reader.writer, reader.target)
    return fields, buffer.tell()


def _parse(schema: RecordSchema) -> Any:
    try:
        return fastavro.parse_schema(dict(schema.tree))
    except (fastavro.schema.SchemaParseException, *DECODE_ERRORS) as error:
        message = f"the schema of {schema.name} with id {schema.schema_id} is no Avro schema: {error}"
        raise RecordError(message) from None


_WRITERS: dict[type[Record], _Writer] = {}


def _writer(record_type: type[Record]) -> _Writer:
    writer = _WRITERS.get(record_type)
    if writer is None:
        writer = _WRITERS[record_type] = _make_writer(record_type)
    return writer


def _make_writer(record_type: type[Record]) -> _Writer:
    if RECORD_TYPES.get(record_type.__name__) is not record_type:
        message = f"{record_type.__name__} is no record type"
        raise RecordError(message)
    schema = latest_schema(record_type.__name__)
    named: dict[str, Any] = {}
    head, columns = split_columns(schema.tree)
    return _Writer(
        prefix=_header(schema.schema_id),
        parsed=_parse(schema),
        fields=tuple(
            (field["name"], scalar_types(field["type"]), preparer(field["type"], named))
            for field in schema.tree["fields"]
        ),
        has_rule=_has_rule(record_type),
        head=fastavro.parse_schema(head),
        columns=columns,
    )


def _make_reader(schema: RecordSchema) -> _Reader | None:
    record_type = RECORD_TYPES.get(schema.name)
    if record_type is None:
        return None
    ours = latest_schema(schema.name)
    named: dict[str, IsInRange | None] = {}
    checks = [(field["name"], range_check(field["type"], named)) for field in ours.tree["fields"]]
    written, target = _parse(schema), _parse(ours)
    head, columns = split_columns(ours.tree)
    is_same = to_parsing_canonical_form(written) == to_parsing_canonical_form(target)
    return _Reader(
        record_type=record_type,
        writer=written,
        target=None if is_same else target,
        ranges=tuple((name, check) for name, check in checks if check is not None),
        has_rule=_has_rule(record_type),
        head=fastavro.parse_schema(head),
        columns=columns if is_same else (),
    )


def _made(record_type: type[Record], fields: dict[str, Any]) -> Record:
    """A record of fields that are known to be right."""
    record = object.__new__(record_type)
    object.__setattr__(record, "__dict__", fields)
    return record


def _has_rule(record_type: type[Record]) -> bool:
    return record_type.problem is not Record.problem


def _fresh(value: Any) -> Any:
    """A copy of lists and mappings: fastavro puts one and the same default list into every record that it resolves."""
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fresh(item) for item in value]
    return value


def _why_not_written(record: Record, writer: _Writer, error: Exception) -> str:
    """Name the field that a writer refused; fastavro itself names none."""
    name = type(record).__name__
    if isinstance(error, WrongValueError):
        return f"{name}.{error}"
    try:
        for field, _, prepare in writer.fields:
            prepare(record.__dict__[field], field)
    except WrongValueError as wrong:
        return f"{name}.{wrong}"
    return f"{name} can't be written ({type(error).__name__}: {error})"
