"""The envelope that every record begins with, and the registry of record types.

A record type is a frozen dataclass whose fields are exactly those of its Avro schema, in order. Writers are strict:
no field has a default here, so a forgotten field is an error and never a zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal, TypedDict, TypeVar, dataclass_transform

Topic = Literal["commands", "events", "telemetry", "dead", "schemas"]


class StoredFile(TypedDict):
    """A file kept as a blob."""

    path: str
    size_bytes: int
    sha256: str


class ResultMetric(TypedDict):
    """A number that a stage ends with, and how far it may be trusted."""

    name: str
    value: float | None
    unit: str | None
    items: int | None
    origin: str
    kind: str
    definition: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What every record has: who, when, and what caused it."""

    TOPIC: ClassVar[Topic]
    KEY_FIELD: ClassVar[str]

    event_id: str
    occurred_at_us: int
    actor: str
    causation_id: str | None
    correlation_id: str | None
    traceparent: str | None

    @property
    def key(self) -> str:
        """The key of the record on its topic: records of one key are ordered."""
        return str(getattr(self, self.KEY_FIELD))


RECORD_TYPES: dict[str, type[Record]] = {}
"""Every record type by its name."""

R = TypeVar("R", bound=Record)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(*, topic: Topic, key: str) -> Callable[[type[R]], type[R]]:
    """Make a class a record type of ``topic``, keyed by the field ``key``."""

    def register(cls: type[R]) -> type[R]:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        made.TOPIC = topic
        made.KEY_FIELD = key
        RECORD_TYPES[made.__name__] = made
        return made

    return register
