"""The fold of a mark: a name for a position, set once, so that what cites it never changes."""

from __future__ import annotations

from crucible.records.log_events import CommandAccepted, CommandObsolete, CommandRejected, MarkSet
from crucible.records.record import Record
from crucible.rules.answers import answer, check_effect
from crucible.rules.draft import Void
from crucible.rules.state import MarkState, changed


def evolve(state: MarkState | None, event: Record) -> MarkState | Void:
    """The mark after ``event``, or why the event is void. Total."""
    mark = state if state is not None else MarkState(name=event.key)
    if isinstance(event, CommandAccepted | CommandRejected | CommandObsolete):
        return answer(mark, event)
    if type(event) is MarkSet:
        return _set(mark, event)
    return Void("no event of a mark")


def _set(mark: MarkState, event: MarkSet) -> MarkState | Void:
    if mark.mark is not None:
        return Void("the mark is set")
    if void := check_effect(mark, event):
        return void
    return changed(mark, mark=event)
