"""Events as JSON and back: what the table ``events`` holds, and what state is folded from again after a restart.

JSON has no NaN and no infinity, so they travel as ``{"$float": "nan"}``; nothing else is changed.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import orjson

from crucible.errors import RecordError
from crucible.records.record import HEADER_NAMES, RECORD_TYPES, Record
from crucible.records.schema import latest_schema

FLOAT_MARK = "$float"
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  DuckDB's TIMESTAMP has no zone; ours are UTC
_MICROSECOND = dt.timedelta(microseconds=1)
"""Multiplying it takes 0.4 µs, making an interval of so many microseconds 0.7; both are exact."""
Moment = dt.datetime | None
"""A UTC moment without zone; None for one that no calendar holds."""
MOMENT_US_MAX = 253_402_300_800_000_000
"""The year 10000: the first moment that Python's and other clients' dates can't hold."""

CHECKED_TEXTS = 1024
"""Texts of which is remembered that they are JSON: runs of a grid share most of theirs."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _prepared_encoder() -> Callable[[Any], str]:
    """``_encode`` without what it makes anew in each call, which costs as much as the text of an event itself."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _encode

    def refuse(value: Any) -> Any:
        message = f"{type(value).__name__} is no JSON"
        raise TypeError(message)

    write = make(None, refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(write(value, 0))


_write = _prepared_encoder()


@functools.cache
def header_names() -> frozenset[str]:
    """The fields that every record begins with; the payload is the rest."""
    return frozenset(HEADER_NAMES)


def payload_of(record: Record) -> str:
    """The fields of a record's type as JSON."""
    values = record.__dict__
    fields = {name: values[name] for name in record.FIELD_NAMES[len(HEADER_NAMES) :]}
    if _holds_fractions(type(record).__name__):
        return json_text(fields)
    try:
        return orjson.dumps(fields).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, half a surrogate pair
        return json_text(fields)


def record_of(record_type: str, header: dict[str, Any], payload: str) -> Record:
    """The record that ``payload_of`` was given. Raises ``RecordError`` if the text does not fit the type."""
    try:
        return RECORD_TYPES[record_type](**header, **json.loads(payload, object_hook=_restore))
    except (KeyError, TypeError, ValueError) as error:
        message = f"event {header.get('event_id')} in the read model is no {record_type}: {error}"
        raise RecordError(message) from error


def json_text(value: Any) -> str:
    """``value`` as compact JSON; non-finite numbers marked."""
    try:
        return _write(value)
    except ValueError:
        return _encode(_mark(value))


@functools.cache
def _holds_fractions(name: str) -> bool:
    """Whether a field may be NaN, which orjson would write as null, or a number that it would write in other digits."""
    return _names_fractions(latest_schema(name).tree["fields"])


def _names_fractions(schema: Any) -> bool:
    if isinstance(schema, str):
        return schema in {"float", "double"}
    if isinstance(schema, list):
        return any(map(_names_fractions, schema))
    return any(_names_fractions(schema[name]) for name in ("type", "items", "values", "fields") if name in schema)


@functools.lru_cache(maxsize=CHECKED_TEXTS)
def checked_json(text: str) -> str:
    """``text`` if it is JSON, else the text as a JSON string: an odd field must not cost the record."""
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return _encode(text)
    return text


def moment(time_us: int | None) -> Moment:
    """Microseconds since the epoch as a UTC moment without zone; None for one that no calendar holds."""
    if time_us is None or not 0 <= time_us < MOMENT_US_MAX:
        return None
    return EPOCH + time_us * _MICROSECOND


def moment_us(value: Moment) -> int:
    """The microseconds that ``moment`` was given; 0 for None."""
    if value is None:
        return 0
    return (value - EPOCH) // _MICROSECOND


def _mark(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT_MARK: repr(value)}
    if isinstance(value, dict):
        return {key: _mark(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mark(item) for item in value]
    return value


def _restore(fields: dict[str, Any]) -> Any:
    if fields.keys() == {FLOAT_MARK}:
        return float(fields[FLOAT_MARK])
    return fields


def _refuse(name: str) -> Any:
    message = f"{name} is no JSON"
    raise ValueError(message)
