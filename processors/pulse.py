"""Heartbeats of all claims of a worker: they mean that the worker lives, not that a stage gets on."""

from __future__ import annotations

import threading
from typing import Final

from crucible.errors import LogCorruptError, LogError
from crucible.ports import Clock
from crucible.processors.claim import Claim
from crucible.processors.claim_telemetry import ClaimTelemetry
from crucible.processors.stage_run import StageRun

IDLE_S: Final = 1.0
RETRY_S: Final = 0.2
"""Wait before another try when the log did not take a heartbeat."""


class Pulse:
    """One thread that keeps claims alive while their stages run."""

    def __init__(self, clock: Clock) -> None:
        """Nothing to keep alive yet; the thread starts with the first claim."""
        self._clock = clock
        self._changed = threading.Condition()
        self._claims: dict[str, tuple[Claim, StageRun, ClaimTelemetry]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.problem: Exception | None = None
        """What ended the thread, if something did."""

    def keep(self, claim: Claim, stage_run: StageRun, telemetry: ClaimTelemetry) -> None:
        """Append a heartbeat of this claim at each third of its lease."""
        with self._changed:
            self._claims[claim.claim_id] = (claim, stage_run, telemetry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="crucible-pulse", daemon=True)
                self._thread.start()
            elif len(self._claims) == 1:
                self._changed.notify_all()

    def forget(self, claim: Claim) -> None:
        """The claim has ended, or is about to."""
        with self._changed:
            self._claims.pop(claim.claim_id, None)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            while (due := self._next()) is not None:
                for claim, stage_run, telemetry in due:
                    if not self._beat(claim, stage_run, telemetry):
                        break
        except Exception as error:  # noqa: BLE001  the worker raises it
            self.problem = error

    def _next(self) -> list[tuple[Claim, StageRun, ClaimTelemetry]] | None:
        """Wait for claims whose heartbeat is due; None when there is nothing more to do."""
        with self._changed:
            while not self._is_closed:
                now_s = self._clock.monotonic()
                due = [each for each in self._claims.values() if each[0].next_beat_s <= now_s]
                if due:
                    return due
                waits_s = [each[0].next_beat_s - now_s for each in self._claims.values()]
                self._changed.wait(min(waits_s) if waits_s else None)
            return None

    def _beat(self, claim: Claim, stage_run: StageRun, telemetry: ClaimTelemetry) -> bool:
        try:
            claim.heartbeat(stage_run.step, telemetry.marks())
        except LogCorruptError:
            raise
        except LogError:
            with self._changed:
                self._changed.wait(RETRY_S)
            return False
        return True
