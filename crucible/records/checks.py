"""Checks of a record's fields against its schema, compiled once for each record type.

Avro libraries are lenient: fastavro writes ``True`` and ``1.9`` into a long as 1 and takes 2**31 for an int. Writers
here are strict. Columns may be lists, tuples or one-dimensional NumPy arrays; they are written as lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crucible.errors import InternalError

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
RANGES = {"int": (INT_MIN, INT_MAX), "long": (LONG_MIN, LONG_MAX)}
NUMPY_KINDS = {"int": "iu", "long": "iu", "double": "f"}
"""NumPy's letters of the kinds of numbers that a column of an Avro type takes."""
EXACT_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "boolean": frozenset({bool}),
    "bytes": frozenset({bytes}),
    "double": frozenset({float}),
    "int": frozenset({int}),
    "long": frozenset({int}),
}
NONE = type(None)

Prepare = Callable[[Any, str], Any]
"""Takes a value and its path; gives what fastavro writes; raises ``WrongValueError``."""
IsInRange = Callable[[Any], bool]
"""Whether a decoded value lies in the range of its Avro type."""


class WrongValueError(ValueError):
    """A value does not fit its field; the text says which and how."""


def scalar_types(schema: Any) -> frozenset[type]:
    """The Python types that need no further look when written; empty if every value needs one."""
    if isinstance(schema, list):
        inner = scalar_types(schema[1])
        return inner | {NONE} if inner else inner
    return frozenset() if not isinstance(schema, str) or schema == "int" else EXACT_TYPES.get(schema, frozenset())


def preparer(schema: Any, named: dict[str, Any]) -> Prepare:
    """The strict check of values of an Avro type. ``named`` collects the records defined so far by full name."""
    if isinstance(schema, list):
        return _nullable(preparer(schema[1], named))
    if isinstance(schema, str):
        return named[schema] if schema in named else _scalar(schema)
    kind = schema["type"]
    if kind == "array":
        return _array(schema["items"], named)
    if kind == "map":
        return _map(preparer(schema["values"], named))
    if kind == "record":
        return _record(schema, named)
    message = f"no rule for the Avro type {schema!r}"
    raise InternalError(message)


def range_check(schema: Any, named: dict[str, IsInRange | None]) -> IsInRange | None:
    """What a decoded value must be looked at for: fastavro reads any varint for an int. None: nothing."""
    if isinstance(schema, list):
        return _nullable_range(range_check(schema[1], named))
    if isinstance(schema, str):
        return named.get(schema, _is_int if schema == "int" else None)
    kind = schema["type"]
    if kind == "record":
        return _record_range(schema, named)
    if kind == "array":
        return _array_range(range_check(schema["items"], named))
    return _map_range(range_check(schema["values"], named))


def _is_int(value: int) -> bool:
    return INT_MIN <= value <= INT_MAX


def _nullable_range(inner: IsInRange | None) -> IsInRange | None:
    return None if inner is None else lambda value: value is None or inner(value)


def _array_range(inner: IsInRange | None) -> IsInRange | None:
    if inner is _is_int:
        return lambda values: not values or (min(values) >= INT_MIN and max(values) <= INT_MAX)
    return None if inner is None else lambda values: all(map(inner, values))


def _map_range(inner: IsInRange | None) -> IsInRange | None:
    return None if inner is None else lambda values: all(map(inner, values.values()))


def _record_range(schema: Mapping[str, Any], named: dict[str, IsInRange | None]) -> IsInRange | None:
    checks = [(field["name"], range_check(field["type"], named)) for field in schema["fields"]]
    needed = [(name, check) for name, check in checks if check is not None]
    named[_full_name(schema)] = result = (
        (lambda value: all(check(value[name]) for name, check in needed)) if needed else None
    )
    return result


def _full_name(schema: Mapping[str, Any]) -> str:
    return f"{schema.get('namespace', 'crucible')}.{schema['name']}"


def _nullable(inner: Prepare) -> Prepare:
    return lambda value, path: None if value is None else inner(value, path)


def _refuse(path: str, value: object, expected: str) -> WrongValueError:
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  a line for people
    return WrongValueError(f"{path}: expected {expected}, got {type(value).__name__} {shown}")


def _scalar(avro_type: str) -> Prepare:
    if avro_type == "string":
        return _string
    if avro_type == "double":
        return _double
    if avro_type in {"int", "long"}:
        low, high = RANGES[avro_type]

        def integer(value: Any, path: str) -> Any:
            if type(value) is not int or not low <= value <= high:
                raise _refuse(path, value, f"{avro_type} ({low} to {high})")
            return value

        return integer
    (exact,) = EXACT_TYPES[avro_type]

    def is_exact(value: Any, path: str) -> Any:
        if type(value) is not exact:
            raise _refuse(path, value, avro_type)
        return value

    return is_exact


def _string(value: Any, path: str) -> Any:
    if type(value) is not str:
        raise _refuse(path, value, "string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refuse(path, value, "string that UTF-8 can write") from None
    return value


def _double(value: Any, path: str) -> Any:
    """A float (NumPy's float64 is one) or an int that a float can hold."""
    if isinstance(value, float):
        return value
    if type(value) is not int:
        raise _refuse(path, value, "double")
    try:
        return float(value)
    except OverflowError:
        raise _refuse(path, value, "double") from None


def _array(items: Any, named: dict[str, Any]) -> Prepare:
    prepare = preparer(items, named)
    is_plain = isinstance(items, str)
    exact = EXACT_TYPES.get(items, frozenset()) if is_plain else scalar_types(items)
    limits = RANGES.get(items) if is_plain else None
    kinds = NUMPY_KINDS.get(items, "") if is_plain else ""

    def array(value: Any, path: str) -> Any:
        if type(value) is not list and type(value) is not tuple:
            value = _column(value, path, kinds)
        if not exact or not exact.issuperset(map(type, value)):
            return [prepare(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if limits and value and (min(value) < limits[0] or max(value) > limits[1]):
            return [prepare(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    return array


def _column(value: Any, path: str, kinds: str) -> list[Any]:
    """The list of a one-dimensional NumPy array of a fitting kind."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or value.ndim != 1 or dtype.kind not in kinds:
        raise _refuse(path, value, "list, tuple or one-dimensional array of a fitting type")
    column: list[Any] = value.tolist()
    return column


def _map(prepare: Prepare) -> Prepare:
    def mapping(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise _refuse(path, value, "mapping")
        return {_string(key, f"{path} key"): prepare(item, f"{path}[{key!r}]") for key, item in value.items()}

    return mapping


def _record(schema: Mapping[str, Any], named: dict[str, Any]) -> Prepare:
    fields: Sequence[tuple[str, Prepare]] = [
        (field["name"], preparer(field["type"], named)) for field in schema["fields"]
    ]
    expected = f"{schema['name']} with {', '.join(name for name, _ in fields)}"

    def nested(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping) or len(value) != len(fields):
            raise _refuse(path, value, expected)
        try:
            return {name: prepare(value[name], f"{path}.{name}") for name, prepare in fields}
        except KeyError:
            raise _refuse(path, value, expected) from None

    named[_full_name(schema)] = nested
    return nested
