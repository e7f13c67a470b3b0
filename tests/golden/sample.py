"""One record of each type and variant, made from its schema without randomness.

Variant 0 fills every field, variant 1 has null wherever a field may be null, and empty lists and mappings.
"""

from __future__ import annotations

from crucible.records import RECORD_TYPES
from crucible.records.schema import latest_schema

NUMBERS = {"int": 2**31 - 1, "long": -(2**63)}
COLUMNS = {
    "MetricBatch": {
        "names": ["train/loss", "val/accuracy"],
        "name_index": [0, 1, 0, 0, 0],
        "step": [1, 1, 2, 0, 2**40],
        "time_us": [1_767_225_600_000_000 + point for point in range(5)],
        "value": [0.1, 0.5, float("nan"), float("inf"), -0.0],
    },
    "PredictionBatch": {
        "split": ["test", "test"],
        "item_id": ["digits/1", "digits/2"],
        "score": [1.0, None],
        "label": ["7", None],
        "prediction": ["7", "é" * 32],
        "time_us": [1_767_225_600_000_000, 1_767_225_600_000_001],
    },
}


def sample(name: str, variant: int):
    """The sample of a record type."""
    fields = value(latest_schema(name).tree, name, variant, {})
    columns = COLUMNS.get(name, {})
    if variant:
        columns = {column: [] for column in columns}
    return RECORD_TYPES[name](**{**fields, **columns})


def value(schema, path, variant, named):
    """A value of an Avro type that says where it stands."""
    if isinstance(schema, list):
        return None if variant else value(schema[1], path, variant, named)
    if isinstance(schema, str):
        return value(named[schema], path, variant, named) if schema in named else scalar(schema, path, variant)
    if schema["type"] == "array":
        item = value(schema["items"], path, 0, named)
        return [] if variant else [item, item]
    if schema["type"] == "map":
        item = value(schema["values"], path, 0, named)
        return {} if variant else {f"{path} ä": item, "b": item}
    named[f"crucible.{schema['name']}"] = schema
    return {
        field["name"]: value(field["type"], f"{path}.{field['name']}", variant, named) for field in schema["fields"]
    }


def scalar(avro_type, path, variant):
    """A scalar at the edge of its type in variant 0, plain in variant 1."""
    if avro_type == "string":
        return "" if variant else f"{path} é 猫"
    if avro_type == "boolean":
        return not variant
    if avro_type == "bytes":
        return b"" if variant else b"\x00\xff" + path.encode()
    if avro_type == "double":
        return 0.0 if variant else 0.1
    return 0 if variant else NUMBERS[avro_type]
