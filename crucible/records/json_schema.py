"""JSON Schemas of the records, generated from the Avro schemas: ``python -m crucible.records.json_schema [--check]``.

They describe a record as JSON: the fields of the Avro schema by name, bytes as base64, and a number that JSON lacks
as ``{"$float": "nan"}``. Dialect 2020-12. ``schemas/json/<Record>.v<version>.json``; never edited by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from crucible.records.checks import RANGES
from crucible.records.generated import Files, main
from crucible.records.record import RECORD_TYPES
from crucible.records.schema import SCHEMAS, schema_versions

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NONFINITE = {
    "type": "object",
    "properties": {"$float": {"enum": ["nan", "inf", "-inf"]}},
    "required": ["$float"],
    "additionalProperties": False,
}
FOLDER = SCHEMAS / "json"


def json_schema(tree: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The JSON Schema of one version of a record."""
    definitions: dict[str, Any] = {}
    body = _object(tree, definitions)
    return {
        "$schema": DIALECT,
        "$id": f"urn:crucible:record:{tree['name']}:v{version}",
        "title": tree["name"],
        "x-topic": tree["topic"],
        "x-key": tree["key"],
        **body,
        **({"$defs": definitions} if definitions else {}),
    }


def files() -> Files:
    """The text of every file, by path."""
    return {
        FOLDER / f"{name}.v{version}.json": json.dumps(json_schema(schema.tree, version), indent=2) + "\n"
        for name in sorted(RECORD_TYPES)
        for version, schema in schema_versions(name).items()
    }


def _object(record: Mapping[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    fields = {field["name"]: field for field in record["fields"]}
    return {
        "description": record["doc"],
        "type": "object",
        "properties": {
            name: {"description": field["doc"], **_type(field["type"], definitions)} for name, field in fields.items()
        },
        "required": list(fields),
        "additionalProperties": False,
    }


def _type(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema, list):
        return {"anyOf": [{"type": "null"}, _type(schema[1], definitions)]}
    if isinstance(schema, str):
        return _scalar(schema)
    if schema["type"] == "array":
        return {"type": "array", "items": _type(schema["items"], definitions)}
    if schema["type"] == "map":
        return {"type": "object", "additionalProperties": _type(schema["values"], definitions)}
    definitions[schema["name"]] = _object(schema, definitions)
    return {"$ref": f"#/$defs/{schema['name']}"}


def _scalar(avro_type: str) -> dict[str, Any]:
    if avro_type in RANGES:
        low, high = RANGES[avro_type]
        return {"type": "integer", "minimum": low, "maximum": high}
    if avro_type == "double":
        return {"anyOf": [{"type": "number"}, NONFINITE]}
    if avro_type == "bytes":
        return {"type": "string", "contentEncoding": "base64"}
    if avro_type in {"string", "boolean"}:
        return {"type": avro_type}
    return {"$ref": f"#/$defs/{avro_type.rpartition('.')[2]}"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], files(), FOLDER))
