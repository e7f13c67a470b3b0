"""How the source of a number is written down: for machines, and for the page."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from crucible.projections.report.model import Number, Source

EVENTS_LISTED_MAX = 100
"""More events than these are given as a range."""


def events_json(source: Source) -> list[Any]:
    """The event ids; above ``EVENTS_LISTED_MAX`` one range in the order of ids, with their count and a digest.

    The digest is the SHA-256 of the sorted ids, a line feed after each: with the SQL it can be checked.
    """
    ids = source.event_ids
    if len(ids) <= EVENTS_LISTED_MAX:
        return list(ids)
    digest = hashlib.sha256("".join(f"{event}\n" for event in ids).encode()).hexdigest()
    return [{"first": ids[0], "last": ids[-1], "count": len(ids), "sha256": digest}]


def number_json(number: Number) -> dict[str, Any]:
    """A number as ``report.json`` holds it. NaN and infinity are null, and named in ``nonfinite``."""
    made = {
        "id": number.id,
        "label": number.label,
        "value": number.value,
        "text": number.text,
        "unit": number.unit,
        "function": number.function,
        "sql": number.source.sql,
        "parameters": dict(number.parameters),
        "event_ids": events_json(number.source),
        "marks": list(number.marks),
    }
    if isinstance(number.value, float) and not math.isfinite(number.value):
        made |= {"value": None, "nonfinite": repr(number.value)}
    return made


def call_text(number: Number) -> str:
    """The call that computes a number: ``function(rows, level=0.95)``."""
    parameters = "".join(f", {name}={json.dumps(value)}" for name, value in number.parameters.items())
    return f"{number.function}(rows{parameters})"


def value_text(number: Number) -> str:
    """The value in full; of figures, which have many, how many there are."""
    return number.text if isinstance(number.value, tuple) else str(number.value)
