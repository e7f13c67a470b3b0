"""The fold of a limit: a grant above the capacity at its place is void, so no two managers give away the last one."""

from __future__ import annotations

from crucible.records.log_events import PermitGranted, PermitReleased
from crucible.records.record import Record
from crucible.rules.draft import Void
from crucible.rules.state import LimitState, changed


def evolve(state: LimitState | None, event: Record) -> LimitState | Void:
    """The limit after ``event``, or why the event is void. Total."""
    limit = state if state is not None else LimitState(limit=event.key)
    if type(event) is PermitGranted:
        return _granted(limit, event)
    if type(event) is PermitReleased:
        return _released(limit, event)
    return Void("no event of a limit")


def _granted(limit: LimitState, event: PermitGranted) -> LimitState | Void:
    if event.grant <= limit.grants_ever.get(event.holder, 0):
        return Void("a repeat")
    if event.holder in limit.holders:
        return Void("the holder has an earlier grant")
    if len(limit.holders) >= event.capacity:
        return Void("the limit is reached")
    return changed(
        limit,
        holders=limit.holders.with_item(event.holder, event.grant),
        grants_ever=limit.grants_ever.with_item(event.holder, event.grant),
    )


def _released(limit: LimitState, event: PermitReleased) -> LimitState | Void:
    if limit.holders.get(event.holder) != event.grant:
        return Void("the grant is not held")
    return changed(limit, holders=limit.holders.without_item(event.holder))
