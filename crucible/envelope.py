"""The envelope of a value, read without its schema: every record of every version begins with the same six fields."""

from __future__ import annotations

from typing import NamedTuple

from crucible.codec import HEADER_BYTES

VARINT_BYTES_MAX = 10
_MORE = 0x80
_BITS = 0x7F


class Envelope(NamedTuple):
    """Who wrote a record and when."""

    event_id: str
    occurred_at_us: int
    actor: str
    causation_id: str | None
    correlation_id: str | None
    traceparent: str | None


def read_envelope(value: bytes) -> Envelope | None:
    """The envelope of a value in the wire format; None if it has none."""
    try:
        event_id, at = _text(value, HEADER_BYTES)
        occurred_at_us, at = _long(value, at)
        actor, at = _text(value, at)
        causation_id, at = _optional(value, at)
        correlation_id, at = _optional(value, at)
        traceparent, at = _optional(value, at)
    except (IndexError, ValueError):
        return None
    return Envelope(event_id, occurred_at_us, actor, causation_id, correlation_id, traceparent)


def _long(value: bytes, at: int) -> tuple[int, int]:
    if (byte := value[at]) < _MORE:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number = shift = 0
    for place in range(at, at + VARINT_BYTES_MAX):
        byte = value[place]
        number |= (byte & _BITS) << shift
        if byte < _MORE:
            return (number >> 1) ^ -(number & 1), place + 1
        shift += 7
    raise ValueError(at)


def _text(value: bytes, at: int) -> tuple[str, int]:
    size, start = _long(value, at)
    if not 0 <= size <= len(value) - start:
        raise ValueError(at)
    return value[start : start + size].decode(), start + size


def _optional(value: bytes, at: int) -> tuple[str | None, int]:
    branch, start = _long(value, at)
    if branch == 0:
        return None, start
    if branch != 1:
        raise ValueError(at)
    return _text(value, start)
