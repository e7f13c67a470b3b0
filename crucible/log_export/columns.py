"""The columns of an exported file: where a record stood on the log, then the record's own fields.

A column holds what an Avro schema says, but for unions of several types: a table has no column for those, so records of
such a schema are exported as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastavro.schema import expand_schema

from crucible.log.protocol import Stored
from crucible.records.checks import RANGES

PLACE_COLUMNS: Final = ("topic", "partition", "offset", "key", "appended_at")
"""Before the record's own columns, in every file."""
PLACE_TYPES: Final[Sequence[Any]] = (
    "string",
    "int",
    "long",
    "string",
    {"type": "long", "logicalType": "timestamp-micros"},
)
PLACE_PREFIX: Final = "log_"
"""Before those, in a file whose record has a column of one of these names."""
SCALARS: Final = frozenset({"boolean", "int", "long", "float", "double", "string", "bytes"})

Row = dict[str, Any]
IsInRange = Callable[[Any], bool]


class NoColumnsError(Exception):
    """A schema whose records are no rows of a table; the text says why."""


def place_names(fields: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the columns of the place are called in a file of records with these fields."""
    own = {field["name"] for field in fields}
    prefix = ""
    while any(prefix + name in own for name in PLACE_COLUMNS):
        prefix += PLACE_PREFIX
    return tuple(prefix + name for name in PLACE_COLUMNS)


def place_values(stored: Stored) -> tuple[Any, ...]:
    """The values of these columns."""
    return (stored.topic, stored.partition, stored.offset, stored.key, stored.appended_at_us)


def with_place(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The Avro schema of a file of records of this schema."""
    names = place_names(tree["fields"])
    place = [{"name": name, "type": kind} for name, kind in zip(names, PLACE_TYPES, strict=True)]
    return {**tree, "fields": [*place, *tree["fields"]]}


def expanded(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with every named type written out where it is used. Raises as ``fastavro.parse_schema``."""
    result = expand_schema(dict(tree))
    assert isinstance(result, dict)
    return result


def without_logical_types(node: Any) -> Any:
    """A schema whose values are decoded as they stand there: a logical type may round or refuse them."""
    if isinstance(node, list):
        return [without_logical_types(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value if key == "default" else without_logical_types(value)
        for key, value in node.items()
        if key != "logicalType"
    }


def nullable_part(schema: Any) -> Any | None:
    """What a union with null holds beside it; None if the schema is no union. Raises ``NoColumnsError``."""
    if not isinstance(schema, list):
        return None
    parts = [part for part in schema if part != "null"]
    if len(schema) - len(parts) != 1 or len(parts) != 1:
        message = "its schema has a union that no column holds"
        raise NoColumnsError(message)
    return parts[0]


def range_check(schema: Any) -> IsInRange | None:  # noqa: PLR0911  a return for each kind
    """What a decoded value of an expanded schema must be looked at for: Avro's integers have no bound of their own.

    Raises ``NoColumnsError`` for a schema that no column holds.
    """
    if (part := nullable_part(schema)) is not None:
        return _within(part, lambda check: lambda value: value is None or check(value))
    if isinstance(schema, str):
        return _scalar_check(schema)
    kind = schema["type"]
    if kind == "record":
        checks = [(field["name"], range_check(field["type"])) for field in schema["fields"]]
        needed = [(name, check) for name, check in checks if check is not None]
        return (lambda value: all(check(value[name]) for name, check in needed)) if needed else None
    if kind == "array" and (bounds := RANGES.get(str(schema["items"]))):
        low, high = bounds
        return lambda values: not values or (min(values) >= low and max(values) <= high)
    if kind == "array":
        return _within(schema["items"], lambda check: lambda values: all(map(check, values)))
    if kind == "map":
        return _within(schema["values"], lambda check: lambda values: all(map(check, values.values())))
    if kind in {"enum", "fixed"}:
        return None
    return range_check(kind)


def _within(schema: Any, make: Callable[[IsInRange], IsInRange]) -> IsInRange | None:
    """The check of what holds values of a schema, if these need one."""
    check = range_check(schema)
    return None if check is None else make(check)


def _scalar_check(avro_type: str) -> IsInRange | None:
    if avro_type not in SCALARS:
        message = f"its schema has a {avro_type}, which no column holds"
        raise NoColumnsError(message)
    if avro_type not in RANGES:
        return None
    low, high = RANGES[avro_type]
    return lambda value: low <= value <= high
