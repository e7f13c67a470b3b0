"""What goes into one file of an export: the records of one topic, one type and one version of its schema.

Records are decoded with the schema that they were written in, as any Avro reader would, so that a type which this
version does not know is exported as well if the log has its schema.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException

from crucible.codec import DECODE_ERRORS, HEADER_BYTES
from crucible.log_export.columns import (
    IsInRange,
    NoColumnsError,
    Row,
    expanded,
    place_names,
    range_check,
    with_place,
    without_logical_types,
)
from crucible.records.columns import COLUMN_BYTES_MIN, Column, OtherBlocksError, decode_column, split_columns
from crucible.records.record import RECORD_TYPES
from crucible.records.schema import RecordSchema, schema_versions

NAME_DIGITS: Final = 8
"""Of a schema's digest, in the name of a file of a version that has no number here."""


class UndecodedError(Exception):
    """Bytes that are no row of a file; the text says why."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """The records of one file."""

    topic: str
    schema: RecordSchema
    version: int | None
    """Number of the schema's version; None if this version of Crucible does not have it."""
    tree: dict[str, Any]
    """The Avro schema of the file: columns of the place, then the record's own."""
    _parsed: Any
    _head: Any
    _columns: tuple[Column, ...]
    _check: IsInRange | None

    @property
    def is_known(self) -> bool:
        """Whether this version knows the record type."""
        return self.schema.name in RECORD_TYPES

    @property
    def stem(self) -> str:
        """Name of the file without its ending."""
        return f"{self.topic}.{self.label}"

    @property
    def label(self) -> str:
        """Record type and version, for names and people."""
        digest = hashlib.sha256(self.schema.identity.encode()).hexdigest()
        version = digest[:NAME_DIGITS] if self.version is None else f"v{self.version}"
        return f"{self.schema.name}.{version}"

    @property
    def columns(self) -> list[str]:
        """Names of the file's columns."""
        return [field["name"] for field in self.tree["fields"]]

    @property
    def place(self) -> tuple[str, ...]:
        """Names of the columns that say where a record stood."""
        return place_names(self.schema.tree["fields"])

    def decode(self, value: bytes) -> Row:
        """The record of a value, by field. Raises ``UndecodedError``."""
        try:
            fields, end = self._decode(value)
        except DECODE_ERRORS as error:
            message = f"the bytes are no {self.label} ({type(error).__name__})"
            raise UndecodedError(message) from None
        if end != len(value):
            message = f"bytes are left over after the {self.label}"
            raise UndecodedError(message)
        if self._check is not None and not self._check(fields):
            message = f"a number of the {self.label} is outside the range of its type"
            raise UndecodedError(message)
        return fields

    def _decode(self, value: bytes) -> tuple[Row, int]:
        buffer = io.BytesIO(value)
        buffer.seek(HEADER_BYTES)
        fields: Any
        if self._columns and len(value) >= COLUMN_BYTES_MIN:
            try:
                fields = fastavro.schemaless_reader(buffer, self._head, None)
                end = buffer.tell()
                for column in self._columns:
                    fields[column.name], end = decode_column(value, end, column.avro_type)
            except OtherBlocksError:
                buffer.seek(HEADER_BYTES)
            else:
                return fields, end
        fields = fastavro.schemaless_reader(buffer, self._parsed, None)
        return fields, buffer.tell()


def make_kind(topic: str, schema: RecordSchema) -> Kind:
    """What records of this schema on this topic are exported as. Raises ``UndecodedError`` if they are no rows."""
    try:
        tree = without_logical_types(schema.tree)
        check = range_check(expanded(tree))
        parsed = fastavro.parse_schema(dict(tree))
        file_tree = with_place(schema.tree)
        fastavro.parse_schema(dict(file_tree))
        head, columns = split_columns(tree)
        head_parsed = fastavro.parse_schema(head)
    except NoColumnsError as error:
        message = f"{schema.name}: {error}"
        raise UndecodedError(message) from None
    except (SchemaParseException, RecursionError, *DECODE_ERRORS) as error:
        message = f"the schema with id {schema.schema_id} is no Avro schema ({type(error).__name__})"
        raise UndecodedError(message) from None
    return Kind(topic, schema, _version(schema), file_tree, parsed, head_parsed, columns, check)


def _version(schema: RecordSchema) -> int | None:
    if schema.name not in RECORD_TYPES:
        return None
    versions = schema_versions(schema.name).items()
    return next((version for version, own in versions if own.identity == schema.identity), None)
