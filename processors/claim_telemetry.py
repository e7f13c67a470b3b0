"""The telemetry of one claim on its way to the log: what the worker asks of the drain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from crucible.errors import LogError
from crucible.processors.claim import Claim

FLUSH_S: Final = 1.0
"""How long one wait for the log takes before it is asked whether to go on waiting."""


class TelemetryDrain(Protocol):
    """The part of `crucible.producers.drain.Drain` that a worker needs."""

    def attach(self, folder: Path, run_id: str, stage: str, attempt: int, claim_id: str) -> None:
        """Drain a claim's spools."""
        ...

    def detach(self, claim_id: str) -> None:
        """Nothing more will come of the claim."""
        ...

    def sample(self, claim_id: str, process_group: int) -> None:
        """Measure the resources of the claim's processes now and then."""
        ...

    def log_lines(self, claim_id: str, stream: str, data: bytes, *, dropped_bytes: int = 0) -> None:
        """Keep what the stage printed."""
        ...

    def marks(self, claim_id: str) -> dict[str, int]:
        """For each spool the next sequence as of now."""
        ...

    def flush(self, claim_id: str, timeout_s: float | None = None) -> dict[str, int]:
        """Wait until everything below the present marks is on the log. Raises ``LogError`` after ``timeout_s``."""
        ...


class ClaimTelemetry:
    """Attaches a claim to the drain when there is something to drain: an empty stage costs nothing here."""

    def __init__(self, drain: TelemetryDrain, claim: Claim, folder: Path, pause: Callable[[float], None]) -> None:
        """``pause`` waits, and raises what is to end a wait."""
        self._drain = drain
        self._claim = claim
        self._folder = folder
        self._pause = pause
        self._is_attached = False

    def attach(self, process_group: int | None = None) -> None:
        """Begin to drain, and to measure the process group. Safe to call twice."""
        if not self._is_attached:
            claimed = self._claim.claimed
            self._is_attached = True
            self._drain.attach(self._folder, claimed.run_id, claimed.stage, claimed.attempt, claimed.claim_id)
            if process_group is not None:
                self._drain.sample(claimed.claim_id, process_group)

    def lines(self, stream: str, data: bytes, dropped_bytes: int) -> None:
        """Keep what was printed."""
        self.attach()
        self._drain.log_lines(self._claim.claim_id, stream, data, dropped_bytes=dropped_bytes)

    def marks(self) -> dict[str, int]:
        """For each spool the next sequence as of now."""
        return self._drain.marks(self._claim.claim_id) if self._is_attached else {}

    def lost(self, told: Mapping[str, int]) -> str | None:
        """What the stage has logged and is gone, in words; None if all is there. Asked while its process lives.

        Until then its spool is locked, so that no drain removes it; from here on this one has it.
        """
        own = {spool: mark for spool, mark in told.items() if mark and spool[:-2] == self._folder.name}
        if not own:
            return None
        self.attach()
        found = self._drain.marks(self._claim.claim_id)
        gone = sum(max(0, mark - found.get(spool, 0)) for spool, mark in own.items())
        if not gone:
            return None
        return f"{gone} of {sum(own.values())} entries that it logged are gone: its spool {self._folder} was removed"

    def flush(self, told: Mapping[str, int]) -> dict[str, int]:
        """Wait until everything is on the log; returns the marks, for the stage's own spools as it told them.

        Raises ``SpoolError`` if a spool can't be read.
        """
        if any(told.values()) or self._folder.exists():
            self.attach()
        if not self._is_attached:
            return dict(told)
        while True:
            try:
                return {**self._drain.flush(self._claim.claim_id, FLUSH_S), **told}
            except LogError:
                self._pause(0.0)

    def detach(self) -> None:
        """Nothing more will come."""
        if self._is_attached:
            self._drain.detach(self._claim.claim_id)
