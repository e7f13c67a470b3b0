"""One answer for each command, and no effect of a command that was not accepted."""

from __future__ import annotations

from typing import TypeVar

from crucible.records.log_events import CommandAccepted, CommandObsolete, CommandRejected
from crucible.records.record import Record
from crucible.rules.draft import Void
from crucible.rules.state import Answered, changed

Answer = CommandAccepted | CommandRejected | CommandObsolete
A = TypeVar("A", bound=Answered)


def answer(state: A, event: Answer) -> A | Void:
    """Note the answer of a command. The first one at its place counts."""
    if event.command_id in state.answered:
        return Void("the command has its answer")
    answered = state.answered | {event.command_id}
    if type(event) is CommandAccepted:
        return changed(state, answered=answered, accepted=state.accepted | {event.command_id})
    return changed(state, answered=answered)


def check_effect(state: Answered, event: Record) -> Void | None:
    """Why an effect of a command has none: it is a repeat, or another manager answered the command otherwise."""
    if event.event_id in state.effects:
        return Void("a repeat")
    if event.causation_id in state.answered and event.causation_id not in state.accepted:
        return Void("its command was not accepted")
    return None
