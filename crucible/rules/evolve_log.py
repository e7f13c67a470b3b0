"""The fold of the log itself: its identity, and where its archives are."""

from __future__ import annotations

from crucible.records.log_events import LogArchived, LogCreated
from crucible.records.record import Record
from crucible.rules.draft import Void
from crucible.rules.state import LogState, changed


def evolve(state: LogState, event: Record) -> LogState | Void:
    """The log after ``event``, or why the event is void. Total."""
    if type(event) is LogCreated:
        if state.created is not None:
            return Void("the log has an identity")
        return changed(state, created=event)
    if type(event) is LogArchived:
        if any(archive.uri == event.uri for archive in state.archives):
            return Void("a repeat")
        return changed(state, archives=(*state.archives, event))
    return Void("no event of the log")
