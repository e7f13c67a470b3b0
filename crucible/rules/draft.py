"""What rules answer with: records to be written, or why an event has no effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from crucible.records.record import Record


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A record that a rule wants on the log; time, actor and trace are stamped where it is appended."""

    record_type: type[Record]
    event_id: str
    """Derived from what it says, so that a repeat has the same id."""
    fields: Mapping[str, Any]
    """Every field but the header."""
    causation_id: str | None = None
    correlation_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Void:
    """The event has no effect at its place: it is kept, counted and shown."""

    reason: str
    """Why; one of a small set of texts, so that voids can be counted by it."""
