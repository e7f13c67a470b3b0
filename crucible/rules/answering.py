"""What answers to commands are made of: one answer, and the effects that follow it, with ids that any manager gives."""

from __future__ import annotations

from typing import Any

from crucible.canonical import derived_id
from crucible.records.log_events import CommandAccepted, CommandObsolete, CommandRejected
from crucible.records.record import Record
from crucible.rules.draft import Draft

ERRORS_MAX = 100
"""Problems that one rejection lists; a last one says how many more there are."""
ERROR_CHARACTERS_MAX = 1000
"""Of one problem; the rest is cut off."""

Drafts = tuple[Draft, ...]
HEADER = frozenset({"event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent"})


def copied(command: Record, record_type: type[Record]) -> Draft:
    """An effect that says what its command says."""
    fields = {name: value for name, value in vars(command).items() if name not in HEADER}
    return effect(command, record_type, **fields)


def accepted(command: Record, effect: Draft) -> Drafts:
    """The command is accepted, and has this effect."""
    return (_answer(command, CommandAccepted), effect)


def rejected(command: Record, *errors: str) -> Drafts:
    """The command is rejected, for each of these reasons."""
    listed = [_writable(error[:ERROR_CHARACTERS_MAX]) for error in errors[:ERRORS_MAX]]
    if len(errors) > ERRORS_MAX:
        listed.append(f"and {len(errors) - ERRORS_MAX} more")
    return (_answer(command, CommandRejected, errors=listed),)


def obsolete(command: Record, reason: str) -> Drafts:
    """The command has nothing left to do."""
    return (_answer(command, CommandObsolete, reason=reason),)


def _answer(command: Record, record_type: type[Record], **fields: Any) -> Draft:
    return effect(
        command,
        record_type,
        command_id=command.event_id,
        command_type=type(command).__name__,
        subject_id=command.key,
        **fields,
    )


def effect(command: Record, record_type: type[Record], variant: int = 0, **fields: Any) -> Draft:
    """An event that a command causes; ``variant`` tells several of one type apart."""
    return Draft(
        record_type=record_type,
        event_id=derived_id(command.event_id, record_type.__name__, variant),
        fields=fields,
        causation_id=command.event_id,
        correlation_id=command.correlation_id or command.event_id,
    )


def _writable(text: str) -> str:
    """A text that a record can hold, whatever of a command is quoted in it: half a surrogate pair is no character."""
    return text.encode("utf-8", "backslashreplace").decode()
