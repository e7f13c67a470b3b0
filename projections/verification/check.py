"""What a check of a log found: fine, or what failed and the command that mends it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

REBUILD = "crucible rebuild"
State = Literal["fine", "FAILED", "not checked"]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not as it should be."""

    what: str
    """In one sentence: what, where, and what it should be."""
    mend: str
    """The command that mends it, or what to do where no command can."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One check and its outcome."""

    name: str
    summary: str
    """What was looked at, in numbers; why it was not, if so."""
    failures: Sequence[Failure] = ()
    is_done: bool = True
    details: Sequence[str] = ()
    """Lines that say more."""

    @property
    def state(self) -> State:
        """In one word."""
        if self.failures:
            return "FAILED"
        return "fine" if self.is_done else "not checked"


def not_checked(name: str, why: str) -> Check:
    """A check that could not be made, for one before it failed."""
    return Check(name, why, is_done=False)
