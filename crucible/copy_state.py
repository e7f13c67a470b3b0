"""Whether a log is a copy that is not finished: said on its topic ``schemas``, so that everyone reads it who opens it.

Half a copy looks like a log of its own. Whoever began to work on it would append what the original never held, and the
log would go on in two ways. So a copy says that it is one before its first record, on every engine, and that it is
finished once it was compared with its source. Until then nobody but who copies may open it.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Final

from crucible.canonical import canonical_json
from crucible.errors import UsageError
from crucible.log.protocol import Batch, Outgoing

KEY: Final = "crucible.copy"
"""Key of the notes on topic ``schemas``: the last one counts."""


@dataclasses.dataclass(frozen=True, slots=True)
class CopyState:
    """What a copy says of itself."""

    log_id: str
    """The identity of the log that it is a copy of."""
    source: str
    """Where it is copied from, as the command line takes it."""
    target: str
    """Where it was begun, as the command line takes it."""
    is_finished: bool


def copy_state_of(value: bytes) -> CopyState | None:
    """The state that a value of topic ``schemas`` notes; None if it is another one."""
    try:
        noted = json.loads(value)["copy"]
        state = CopyState(noted["log_id"], noted["source"], noted["target"], noted["is_finished"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_state = all(isinstance(text, str) for text in (state.log_id, state.source, state.target))
    return state if is_state and isinstance(state.is_finished, bool) else None


def copy_state_batch(state: CopyState) -> Batch:
    """The note of a state."""
    value = canonical_json({"copy": dataclasses.asdict(state)}).encode()
    return Batch(topic="schemas", key=KEY, values=[Outgoing(KEY, "Copy", value)])


def raise_if_unfinished(state: CopyState | None, location: str) -> None:
    """Raise ``UsageError`` if a log is a copy that was begun and not finished."""
    if state is None or state.is_finished:
        return
    message = (
        f"{location} is a copy of the log {state.log_id} that is not finished: to work on it now would make another "
        "log of it. Finish it with the command that began it: "
        f"crucible log copy {shlex.quote(state.source)} {shlex.quote(state.target)}"
    )
    raise UsageError(message)
