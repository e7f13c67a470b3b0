"""The fold of a key that is no run: tags and notes of submissions, and answers to commands about nothing."""

from __future__ import annotations

from crucible.records.log_events import (
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    NoteAdded,
    ReportRequested,
    TagsChanged,
)
from crucible.records.record import Record
from crucible.rules.answers import answer, check_effect
from crucible.rules.draft import Void
from crucible.rules.state import LabelState, changed


def evolve(state: LabelState | None, event: Record) -> LabelState | Void:
    """The labels after ``event``, or why the event is void. Total."""
    labels = state if state is not None else LabelState(subject_id=event.key)
    if isinstance(event, CommandAccepted | CommandRejected | CommandObsolete):
        return answer(labels, event)
    if type(event) is TagsChanged:
        return _tags_changed(labels, event)
    if type(event) is NoteAdded:
        return _note_added(labels, event)
    if type(event) is ReportRequested:
        return _report_requested(labels, event)
    return Void("no event of labels")


def _tags_changed(labels: LabelState, event: TagsChanged) -> LabelState | Void:
    if void := check_effect(labels, event):
        return void
    tags = (labels.tags | frozenset(event.added)) - frozenset(event.removed)
    return changed(labels, tags=tags, effects=labels.effects | {event.event_id})


def _note_added(labels: LabelState, event: NoteAdded) -> LabelState | Void:
    if void := check_effect(labels, event):
        return void
    return changed(labels, notes=(*labels.notes, event.text), effects=labels.effects | {event.event_id})


def _report_requested(labels: LabelState, event: ReportRequested) -> LabelState | Void:
    if void := check_effect(labels, event):
        return void
    return changed(labels, effects=labels.effects | {event.event_id})
