"""Schemas of versions that do not exist, made from ones that do."""

import copy
import io

import fastavro

from crucible.canonical import canonical_json
from crucible.records.schema import RecordSchema, latest_schema, parse_schema_text


class OtherSchema(RecordSchema):
    """A schema that can write records which no class here describes."""

    def encode(self, fields, *, without=()):
        buffer = io.BytesIO()
        buffer.write(b"\x00" + self.schema_id.to_bytes(4, "big"))
        values = {name: value for name, value in fields.items() if name not in without}
        fastavro.schemaless_writer(buffer, fastavro.parse_schema(self.tree), values, strict=True)
        return buffer.getvalue()


def changed(name, change):
    """The latest schema of a record type after ``change`` was done to a copy of its tree."""
    tree = copy.deepcopy(latest_schema(name).tree)
    change(tree)
    made = parse_schema_text(canonical_json(tree))
    return OtherSchema(**{field: getattr(made, field) for field in RecordSchema.__slots__})
