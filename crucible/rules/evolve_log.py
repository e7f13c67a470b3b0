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
        key = (event.topic, event.partition, event.partitions)
        reason = archive_void(state.archives.get(key), event)
        if reason is not None:
            return Void(reason)
        return changed(state, archives={**state.archives, key: event})
    return Void("no event of the log")


def archive_void(known: LogArchived | None, event: LogArchived) -> str | None:
    """Why an archive of a partition does not count, after the one that is known; None if it does.

    It names every file from offset 0 on, so it needs none before it: it takes the place of one that it reaches as far
    as. Two that were made at once hold the same values, and the one that reaches farther counts.
    """
    end = 0
    for part in event.parts:
        if part["from_offset"] != end or part["to_offset"] <= end:
            return "its files do not follow each other"
        end = part["to_offset"]
    if not end:
        return "it names no files"
    if known is not None and end < archive_end(known):
        return "it does not reach as far as the archive before it"
    return None


def archive_end(archive: LogArchived) -> int:
    """What lies below this offset is in the archive."""
    return archive.parts[-1]["to_offset"] if archive.parts else 0
