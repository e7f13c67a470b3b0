"""Frames: telemetry that is not a metric point, as bytes in a spool.

A frame's body is a line of JSON, and for log lines the bytes that were printed after it. Texts that JSON or Avro can't
carry are written with backslashes, so that nothing that a stage says can stop its telemetry.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crucible.errors import SpoolError, UsageError
from crucible.spool.layout import FRAME, FRAME_TAIL

TEXT_BYTES_MAX = 1024 * 1024
"""Longest prediction, label or output of one item."""
ATTRIBUTES_BYTES_MAX = 256 * 1024
"""Most bytes of a span's attributes: they become part of a record, which holds 900,000 at most."""
ATTRIBUTES_DEPTH_MAX = 16
"""Attributes nested deeper are kept as text."""
INTEGER_MAX = 2**53
"""Largest integer that JSON carries for every reader."""
ID_BYTES_MAX = 1024
"""Longest id of an item, name of a split or name of a span."""
LINES_BYTES_MAX = 1024 * 1024
"""Most bytes of log lines in one frame."""
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Longest body that a reader believes."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    PREDICTION = 1
    SPAN = 2
    LINES = 3


class Prediction(NamedTuple):
    """One scored item."""

    split: str
    item_id: str
    score: float | None
    label: str | None
    prediction: str | None
    output: str | None
    time_us: int
    is_simulated: bool


class SpanFrame(NamedTuple):
    """A timed piece of work."""

    name: str
    span_id: str
    parent_span_id: str | None
    start_us: int
    end_us: int
    attributes: Mapping[str, Any]


class Lines(NamedTuple):
    """Bytes that a stage printed."""

    stream: str
    dropped_bytes: int
    time_us: int
    data: bytes


Content = Prediction | SpanFrame | Lines


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was read."""

    sequence: int
    content: Content
    size_bytes: int
    """Head and body."""


def encode_frame(sequence: int, content: Content) -> bytes:
    """The bytes of a frame. Raises ``UsageError`` for what JSON can't hold, or a reader would not believe."""
    try:
        match content:
            case Prediction():
                kind, body = Kind.PREDICTION, _dump(content)
            case SpanFrame():
                kind, body = Kind.SPAN, _dump(content)
            case Lines():
                kind, body = Kind.LINES, _dump(content[:-1]) + b"\n" + content.data
    except (TypeError, ValueError) as error:
        message = f"{type(content).__name__.lower()} can't be kept as JSON: {error}"
        raise UsageError(message) from error
    if len(body) > FRAME_BYTES_MAX:
        message = f"{type(content).__name__.lower()} has {len(body)} bytes, at most {FRAME_BYTES_MAX} are kept"
        raise UsageError(message)
    tail = FRAME_TAIL.pack(sequence, kind)
    return FRAME.pack(len(body), zlib.crc32(body, zlib.crc32(tail)), sequence, kind) + body


def whole_frames(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(sequence, kind, start, end of the body) of each whole frame at the beginning of ``data``.

    Ends without an error at the first one that is cut off or whose CRC does not match.
    """
    offset = 0
    while offset + FRAME.size <= len(data):
        length, crc, sequence, kind = FRAME.unpack_from(data, offset)
        start = offset + FRAME.size
        end = start + length
        if length > FRAME_BYTES_MAX or end > len(data):
            return
        if zlib.crc32(memoryview(data)[start:end], zlib.crc32(FRAME_TAIL.pack(sequence, kind))) != crc:
            return
        yield sequence, kind, start, end
        offset = end


def decode_body(kind: int, body: bytes) -> Content:
    """What ``encode_frame`` put into a body whose CRC matches. Raises ``SpoolError`` for an unknown kind."""
    try:
        match kind:
            case Kind.PREDICTION:
                return Prediction(*json.loads(body))
            case Kind.SPAN:
                return SpanFrame(*json.loads(body))
            case Kind.LINES:
                head, _, printed = body.partition(b"\n")
                stream, dropped_bytes, time_us = json.loads(head)
                return Lines(stream, dropped_bytes, time_us, printed)
    except (ValueError, TypeError) as error:
        message = f"a frame of kind {kind} can't be read: {error}"
        raise SpoolError(message) from error
    message = f"frames of kind {kind} are unknown: drain this spool with the version that wrote it"
    raise SpoolError(message)


def plain_text(value: object, *, what: str, bytes_max: int) -> str:
    """``value`` as text that UTF-8 can carry. Raises ``UsageError`` when it is longer than ``bytes_max``."""
    text = value if type(value) is str else str(value)
    if text.isascii():
        size = len(text)
    else:
        encoded = text.encode("utf-8", "backslashreplace")
        size, text = len(encoded), encoded.decode()
    if size > bytes_max:
        message = f"{what} has {size} bytes, at most {bytes_max} are kept; save it with run.artifact"
        raise UsageError(message)
    return text


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as RFC 8785 JSON can hold them: what it can't becomes text. Raises ``UsageError`` above the limit."""
    plain = {_text_of(name): _plain(value, ATTRIBUTES_DEPTH_MAX) for name, value in attributes.items()}
    size = len(_ENCODER.encode(plain))
    if size > ATTRIBUTES_BYTES_MAX:
        message = f"the attributes of a span have {size} bytes, at most {ATTRIBUTES_BYTES_MAX} are kept"
        raise UsageError(message)
    return plain


def _plain(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int and abs(value) < INTEGER_MAX:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping) and depth:
        return {_text_of(name): _plain(each, depth - 1) for name, each in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [_plain(each, depth - 1) for each in value]
    return _text_of(value)


def _text_of(value: object) -> str:
    try:
        text = value if type(value) is str else str(value)
    except Exception as problem:  # noqa: BLE001  a broken __str__ is the stage's, not ours
        text = f"({type(value).__name__}, its text can't be made: {type(problem).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()


def _dump(content: tuple[Any, ...]) -> bytes:
    return _ENCODER.encode(content).encode()


_ENCODER = json.JSONEncoder(separators=(",", ":"))
