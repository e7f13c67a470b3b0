"""How answers of the query port travel, for both ends: nothing that a column holds is lost on the way.

JSON has no NaN, no infinity, no bytes and no times. In the form for everybody (rows), non-finite numbers are null and
listed by place beside the rows, so that every JSON reader works; bytes are base64, everything else that JSON lacks is
text, and the types are named. The form for our own client (columns) packs columns of floats, which are most of a long
answer, as the bytes that they are: writing and reading ten thousand of them as text takes longer than the query.
"""

from __future__ import annotations

import array
import base64
import datetime as dt
import decimal
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from crucible.errors import ReadModelError

Row = tuple[Any, ...]
_PLAIN = frozenset({"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "VARCHAR", "JSON", '"NULL"'})
_PLAIN_UNSIGNED = frozenset({"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"})
_REALS = frozenset({"DOUBLE", "FLOAT"})
_AS_THEY_ARE = _PLAIN | _PLAIN_UNSIGNED | _REALS
"""Types whose values JSON has; non-finite numbers apart."""
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_rows(names: Sequence[str], types: Sequence[str], rows: Sequence[Row], position: str) -> bytes:
    """An answer as JSON, row by row."""
    body: Any = rows
    if not all(name in _AS_THEY_ARE for name in types):
        body = [[_plain(value) for value in row] for row in rows]
    nonfinite: list[list[Any]] = []
    try:
        text = _encode(body)
    except ValueError:
        text = _encode(_without_nonfinite(body, nonfinite))
    head = {"columns": list(names), "types": list(types), "position": position, "nonfinite": nonfinite}
    return f'{_encode(head)[:-1]},"rows":{text}}}'.encode()


def encode_columns(names: Sequence[str], types: Sequence[str], rows: Sequence[Row], position: str) -> bytes:
    """An answer as JSON, column by column, for ``decode_columns``."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    values = [_pack(column, name) for column, name in zip(columns, types, strict=True)]
    return _encode({"columns": names, "types": types, "position": position, "values": values}).encode()


def decode_columns(body: bytes) -> tuple[tuple[str, ...], tuple[str, ...], list[Row], str]:
    """Names, types, rows and position of an answer. Raises ``ReadModelError`` for bytes that are none."""
    try:
        answer = json.loads(body)
        types = tuple(answer["types"])
        columns = [_unpack(column, name) for column, name in zip(answer["values"], types, strict=True)]
        return tuple(answer["columns"]), types, list(zip(*columns, strict=True)), str(answer["position"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"the query port gave an answer that can't be read: {error}"
        raise ReadModelError(message) from error


def _pack(column: Sequence[Any], type_name: str) -> Any:
    """A column as JSON: floats without a null as base64 of little-endian doubles."""
    if type_name in _REALS:
        if None in column:
            return [value if value is None or math.isfinite(value) else str(value) for value in column]
        packed = array.array("d", column)
        if sys.byteorder == "big":
            packed.byteswap()
        return base64.b64encode(packed.tobytes()).decode()
    return column if type_name in _AS_THEY_ARE else [_plain(value) for value in column]


def _unpack(column: Any, type_name: str) -> Sequence[Any]:
    if isinstance(column, str):
        packed = array.array("d")
        packed.frombytes(base64.b64decode(column, validate=True))
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tolist()
    reader = float if type_name in _REALS else _reader(type_name)
    return column if reader is None else [None if value is None else reader(value) for value in column]


def _plain(value: Any) -> Any:
    """``value`` as something that JSON has."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _finite(_plain(item)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(_plain(item)) for item in value]
    return str(value)


def _finite(value: Any) -> Any:
    """Within lists and structures a non-finite number is text: it has no place of its own to be listed by."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _without_nonfinite(rows: Sequence[Sequence[Any]], nonfinite: list[list[Any]]) -> list[list[Any]]:
    kept = []
    for number, row in enumerate(rows):
        line = list(row)
        for column, value in enumerate(line):
            if isinstance(value, float) and not math.isfinite(value):
                nonfinite.append([number, column, str(value)])
                line[column] = None
        kept.append(line)
    return kept


def _reader(type_name: str) -> Callable[[Any], Any] | None:
    if type_name.startswith("TIMESTAMP"):
        return dt.datetime.fromisoformat
    if type_name.startswith("DECIMAL"):
        return decimal.Decimal
    return {"DATE": dt.date.fromisoformat, "TIME": dt.time.fromisoformat, "BLOB": base64.b64decode}.get(type_name)
