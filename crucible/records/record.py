"""The envelope that every record begins with, and the registry of record types.

A record type is a frozen dataclass whose fields are exactly those of its Avro schema, in order. Writers are strict:
no field has a default here, so a forgotten field is an error and never a zero.

The methods that ``dataclasses`` would generate for each of the fifty types are written once, in ``Record``: generating
them took 50 ms of every start, this takes 4.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NoReturn, TypedDict, TypeVar, dataclass_transform

from crucible.errors import RecordError

Topic = Literal["commands", "events", "telemetry", "dead", "schemas"]


class StoredFile(TypedDict):
    """A file kept as a blob."""

    path: str
    size_bytes: int
    sha256: str


class ArchivePart(TypedDict):
    """A file of an archive: consecutive values of a partition."""

    sha256: str
    from_offset: int
    to_offset: int
    size_bytes: int
    last_crc32c: int
    footer_crc32c: int


class ResultMetric(TypedDict):
    """A number that a stage ends with, and how far it may be trusted."""

    name: str
    value: float | None
    unit: str | None
    items: int | None
    origin: str
    kind: str
    definition: str | None


class CellComparison(TypedDict):
    """Two cells compared by one metric over pairs."""

    metric: str
    cell_a: int
    label_a: str
    cell_b: int
    label_b: str
    pairing: str
    n: int
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    level: float | None
    p: float | None
    p_adjusted: float | None
    correction: str
    family: int
    effect_name: str
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    d_z: float | None
    method: str
    status: str
    reason: str | None


class CellRanking(TypedDict):
    """A cell's place among all cells by one metric."""

    metric: str
    cell_index: int
    label: str
    n: int
    mean: float | None
    low: float | None
    high: float | None
    level: float | None
    p_best: float | None
    resamples: int


C = TypeVar("C")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _lean_dataclass(cls: type[C]) -> type[C]:
    """Collect the fields as a frozen dataclass does; ``Record`` has the methods."""
    return dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False)(cls)


@_lean_dataclass
class Record:
    """What every record has: who, when, and what caused it. Frozen; equal when the type and all fields are."""

    TOPIC: ClassVar[Topic]
    KEY_FIELD: ClassVar[str]
    FIELD_NAMES: ClassVar[tuple[str, ...]]

    event_id: str
    occurred_at_us: int
    actor: str
    causation_id: str | None
    correlation_id: str | None
    traceparent: str | None

    def __init__(self, **fields: Any) -> None:
        names = self.FIELD_NAMES
        if len(fields) != len(names) or not all(map(fields.__contains__, names)):
            raise RecordError(_wrong_fields(type(self).__name__, names, fields))
        self.__dict__.update({name: fields[name] for name in names})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")  # noqa: EM102, TRY003  the words of dataclasses

    def __delattr__(self, name: str) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")  # noqa: EM102, TRY003  the words of dataclasses

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), self.event_id))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"

    @property
    def key(self) -> str:
        """The key of the record on its topic: records of one key are ordered."""
        return str(getattr(self, self.KEY_FIELD))

    def problem(self) -> str | None:
        """What does not fit between fields, in one line; None if all fits. Types of fields are the codec's matter."""
        return None


HEADER_NAMES = tuple(field.name for field in dataclasses.fields(Record))
"""The fields that every record begins with."""
RECORD_TYPES: dict[str, type[Record]] = {}
"""Every record type by its name."""

R = TypeVar("R", bound=Record)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(*, topic: Topic, key: str) -> Callable[[type[R]], type[R]]:
    """Make a class a record type of ``topic``, keyed by the field ``key``."""

    def register(cls: type[R]) -> type[R]:
        made = _lean_dataclass(cls)
        made.TOPIC = topic
        made.KEY_FIELD = key
        made.key = property(operator.attrgetter(key))  # type: ignore[assignment,method-assign]  # in C
        made.FIELD_NAMES = tuple(field.name for field in dataclasses.fields(made))
        RECORD_TYPES[made.__name__] = made
        return made

    return register


def _wrong_fields(record_name: str, names: tuple[str, ...], fields: dict[str, Any]) -> str:
    """Say which fields are forgotten and which are unknown."""
    forgotten = [name for name in names if name not in fields]
    unknown = [name for name in fields if name not in names]
    parts = []
    if forgotten:
        parts.append(f"forgotten: {', '.join(forgotten)}")
    if unknown:
        parts.append(f"unknown: {', '.join(unknown)}")
    return f"{record_name} has other fields than were given; {'; '.join(parts)}"
