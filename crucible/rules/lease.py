"""When silence ends a lease: the reaper's rule, as a value that time is told to.

Silence is counted on a clock of listening: it advances by real time, but by no more than `ROUND_MAX_S` for each round
in which the log answered. A reaper that was paused, or a log that did not answer, adds next to nothing. A lease ends
when the clock stood past its deadline before the ends of the log were asked for, and reading up to those ends brought
no new record of the claim. A claim is heard of when its record was read, so a fresh reaper waits one whole lease.
"""

from __future__ import annotations

import dataclasses

ROUND_MAX_S = 1.0
"""Most seconds of silence that one round of reading can add."""


@dataclasses.dataclass(slots=True)
class _Heard:
    deadline_s: float
    lease_s: float


class LeaseWatch:
    """Live claims and when each was last heard of. For one thread.

    A round is `begin`, then reading to the ends of the log, then `heard` and `ended` for what was read, then `silent`;
    or `lost` if the log did not answer.
    """

    def __init__(self, now_s: float) -> None:
        """Start listening at ``now_s``, seconds on any clock that never goes back."""
        self._now_s = now_s
        self._listened_s = 0.0
        self._asked_s = 0.0
        self._claims: dict[str, _Heard] = {}

    def begin(self, now_s: float) -> None:
        """The ends of the log are asked for next."""
        self._advance(now_s)
        self._asked_s = self._listened_s

    def read(self, now_s: float) -> None:
        """Everything up to those ends was read."""
        self._advance(now_s)

    def lost(self, now_s: float) -> None:
        """The log did not answer: the time since the last call is not silence."""
        self._now_s = now_s

    def heard(self, claim_id: str, lease_ms: int) -> None:
        """A record of a live claim was read in this round."""
        lease_s = lease_ms / 1000
        self._claims[claim_id] = _Heard(self._listened_s + lease_s, lease_s)

    def ended(self, claim_id: str) -> None:
        """The claim lives no more."""
        self._claims.pop(claim_id, None)

    def silent(self) -> list[str]:
        """Claims whose lease has ended. Each is given another whole lease before it is named again."""
        found: list[str] = []
        for claim_id, heard in self._claims.items():
            if heard.deadline_s <= self._asked_s:
                found.append(claim_id)
                heard.deadline_s = self._listened_s + heard.lease_s
        return found

    @property
    def claim_ids(self) -> frozenset[str]:
        """The claims that are watched."""
        return frozenset(self._claims)

    def _advance(self, now_s: float) -> None:
        self._listened_s += min(max(0.0, now_s - self._now_s), ROUND_MAX_S)
        self._now_s = now_s
