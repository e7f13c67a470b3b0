"""Positions of an original log in a copy of it.

Marks and reports name a position of the log that they were made on: next offsets of its partitions. In a copy records
may stand elsewhere. So who copies notes on topic ``schemas`` of the copy where each of these moments lies there, by the
event that names it: ``{"moments": {event_id: position}}``. The topic holds what is needed to read a log, and no digest
is over it; whoever looks for schemas passes it over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from crucible.canonical import canonical_json
from crucible.codec import HEADER_BYTES
from crucible.errors import UsageError
from crucible.log.paging import read_pages
from crucible.log.protocol import Batch, Offsets, Outgoing, Stored
from crucible.position import Position
from crucible.records.log_events import MarkSet, ReportRequested

if TYPE_CHECKING:
    from crucible.journal import Journal

KEY: Final = "crucible.moments"
"""Key of the notes."""
_NAMING = (MarkSet, ReportRequested)
_NAMES = frozenset(kind.__name__ for kind in _NAMING)


def moments_of(value: bytes) -> Mapping[str, str]:
    """The moments that a value of topic ``schemas`` notes; none if it is another one."""
    try:
        found = json.loads(value)["moments"]
        return {str(event_id): str(Position.parse(text)) for event_id, text in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError):
        return {}


def moments_batch(moments: Mapping[str, Position]) -> Batch:
    """The note that says where moments lie."""
    value = canonical_json({"moments": {event_id: str(position) for event_id, position in moments.items()}}).encode()
    return Batch(topic="schemas", key=KEY, values=[Outgoing(KEY, "Moments", value)])


def named_moments(journal: Journal, ends: Offsets) -> dict[str, Position]:
    """By the event that names it, every moment of a log below ``ends``: where it lies there."""
    found: dict[str, Position] = {}
    names: dict[bytes, str] = {}
    for stored in _events(journal, ends):
        header = stored.value[:HEADER_BYTES]
        name = names.get(header)
        if name is None and (name := journal.record_type(stored)) is not None:
            names[header] = name
        if name in _NAMES:
            record = journal.entry(stored).record
            if isinstance(record, _NAMING):
                try:
                    found[record.event_id] = journal.position_here(record.event_id, Position.parse(record.position))
                except UsageError:
                    continue  # a text that is no position means nothing here, and nothing there
    return found


def _events(journal: Journal, ends: Offsets) -> Iterator[Stored]:
    for (topic, partition), end in sorted(ends.items()):
        if topic == "events":
            for page in read_pages(journal.log, topic, partition, 0, end):
                yield from page
