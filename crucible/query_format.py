"""How answers of the query port travel as JSON, for both ends: nothing that a column holds is lost on the way.

JSON has no NaN, no infinity, no bytes and no times. Non-finite numbers are null and listed by place beside the rows,
so that every JSON reader works; bytes are base64, everything else that JSON lacks is text, and the types are named.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from crucible.errors import ReadModelError

Row = tuple[Any, ...]
_PLAIN = frozenset({"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "VARCHAR", "JSON", '"NULL"'})
_PLAIN_UNSIGNED = frozenset({"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"})
_REALS = frozenset({"DOUBLE", "FLOAT"})
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_answer(names: Sequence[str], types: Sequence[str], rows: Sequence[Row], position: str) -> bytes:
    """An answer as JSON."""
    converted = [index for index, name in enumerate(types) if name not in _PLAIN | _PLAIN_UNSIGNED | _REALS]
    body: Any = rows
    if converted:
        body = [[_plain(value) for value in row] for row in rows]
    nonfinite: list[list[Any]] = []
    try:
        text = _encode(body)
    except ValueError:
        text = _encode(_without_nonfinite(body, nonfinite))
    head = {"columns": list(names), "types": list(types), "position": position, "nonfinite": nonfinite}
    return f'{_encode(head)[:-1]},"rows":{text}}}'.encode()


def decode_answer(body: bytes) -> tuple[tuple[str, ...], tuple[str, ...], list[Row], str]:
    """Names, types, rows and position of an answer. Raises ``ReadModelError`` for bytes that are none."""
    try:
        answer = json.loads(body)
        rows: list[list[Any]] = answer["rows"]
        for row, column, name in answer["nonfinite"]:
            rows[row][column] = float(name)
        types = tuple(answer["types"])
        readers = [(index, reader) for index, name in enumerate(types) if (reader := _reader(name)) is not None]
        for line in rows if readers else ():
            for index, reader in readers:
                if line[index] is not None:
                    line[index] = reader(line[index])
        return tuple(answer["columns"]), types, [tuple(line) for line in rows], str(answer["position"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        message = f"the query port gave an answer that can't be read: {error}"
        raise ReadModelError(message) from error


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
