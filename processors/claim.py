"""A claim that this worker holds: everything that it writes goes through here, and nothing once the claim has ended.

Before each blob and each record the claim is checked against the end of the log, and its last acknowledged heartbeat
must be younger than two thirds of the lease, so that no reaper can be about to end it. While the log does not answer,
records wait and the stage goes on; when it answers, the check decides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from crucible.canonical import derived_id
from crucible.errors import (
    AppendUnknownError,
    FencedError,
    LogCorruptError,
    LogError,
    LogRefusedError,
    RecordError,
    StageError,
)
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.processors.view import View
from crucible.records.record import R, Record
from crucible.records.stage_events import StageClaimed, StageHeartbeat, StageLeaseExpired
from crucible.rules.state import ClaimState, RunState

FRESH_SHARE: Final = 2 / 3
"""The last acknowledged heartbeat must be younger than this part of the lease."""
BEATS_PER_LEASE: Final = 3
RETRY_S: Final = 0.1
"""Wait before a record is written again; doubles up to ``RETRY_MAX_S``."""
RETRY_MAX_S: Final = 2.0


class Claim:
    """One live claim. The slot's thread and the pulse's may call it."""

    def __init__(
        self,
        journal: Journal,
        view: View,
        claimed: StageClaimed,
        *,
        acknowledged_s: float,
        pause: Callable[[float], None],
        is_fencing: bool = True,
    ) -> None:
        """Hold what ``claimed`` says.

        ``acknowledged_s`` is when its append was begun, on the journal's monotonic clock. ``pause`` waits, and raises
        what is to end a wait. Without ``is_fencing`` nothing is checked: for tests that must fail then.
        """
        self.claimed = claimed
        self._journal = journal
        self._view = view
        self._pause = pause
        self._is_fencing = is_fencing
        self._lock = threading.RLock()
        self._acknowledged_s = acknowledged_s
        self._beat_s = acknowledged_s
        self._beat = 0
        self._is_over = False

    @property
    def claim_id(self) -> str:
        """Its id."""
        return self.claimed.claim_id

    @property
    def lease_s(self) -> float:
        """Silence after which a reaper may end the claim, seconds."""
        return self.claimed.lease_ms / 1000

    @property
    def next_beat_s(self) -> float:
        """When the next heartbeat is due, on the journal's monotonic clock."""
        return self._beat_s + self.lease_s / BEATS_PER_LEASE

    def state(self) -> ClaimState | None:
        """The claim in the world as read so far."""
        run = self._view.run(self.claimed.run_id)
        return find_claim(run, self.claimed) if run is not None else None

    def check(self) -> None:
        """Raise ``FencedError`` unless the claim lives and no reaper can be about to end it.

        Raises ``LogError`` while the log does not answer.
        """
        if not self._is_fencing:
            return
        with self._lock:
            self._view.advance()
            self._raise_if_ended()
            if self._age_s() >= FRESH_SHARE * self.lease_s:
                self._append_heartbeat(None, {})
                self._view.advance()
                self._raise_if_ended()

    def wait_checked(self) -> None:
        """`check`, once the log answers."""
        self._insist(self.check)

    def wait_read(self) -> None:
        """Read to the end of the log, once it answers."""
        self._insist(self._view.advance)

    def write(self, record_type: type[R], *, is_last: bool = False, **fields: Any) -> R:
        """Append a record of this claim, checked, once the log answers; returns it when it is durable.

        Raises ``FencedError`` when the claim has ended, ``StageError`` for a record that the log does not take.
        """
        record = self._journal.make(record_type, causation=self.claimed, **self._names(), **fields)

        def append() -> None:
            with self._lock:
                self._append_checked(record, is_last=is_last)

        self._insist(append)
        return record

    def heartbeat(self, step: int | None, telemetry_end: Mapping[str, int]) -> None:
        """Say that the worker lives. Raises ``LogError`` when the log does not answer."""
        with self._lock:
            if not self._is_over:
                self._append_heartbeat(step, telemetry_end)

    def release(self) -> bool:
        """Give the claim back, so that another worker can go on at once; False if it had ended."""
        with self._lock:
            self._is_over = True
            self._view.advance()
            state = self.state()
            if state is None or state.status != "live":
                return False
            self._journal.append(
                self._journal.make(
                    StageLeaseExpired,
                    event_id=derived_id(self.claim_id, state.last_event_id, "released"),
                    causation=self.claimed,
                    **self._names(),
                    last_event_id=state.last_event_id,
                    reason="released",
                )
            )
            return True

    def _names(self) -> dict[str, Any]:
        claimed = self.claimed
        return {
            "run_id": claimed.run_id,
            "stage": claimed.stage,
            "attempt": claimed.attempt,
            "claim_id": claimed.claim_id,
        }

    def _age_s(self) -> float:
        return self._journal.clock.monotonic() - self._acknowledged_s

    def _raise_if_ended(self) -> None:
        state = self.state()
        if state is None or state.status != "live":
            status = "not known" if state is None else state.status
            message = f"claim {self.claim_id} has ended ({status}): another worker may have the stage"
            raise FencedError(message)

    def _append_heartbeat(self, step: int | None, telemetry_end: Mapping[str, int]) -> None:
        self._beat += 1
        began_s = self._journal.clock.monotonic()
        self._journal.append(
            self._journal.make(
                StageHeartbeat,
                causation=self.claimed,
                **self._names(),
                beat=self._beat,
                step=step,
                telemetry_end=self._ends(telemetry_end),
            )
        )
        self._acknowledged_s = self._beat_s = began_s
        fault_point("heartbeat:after-record")

    def _ends(self, telemetry_end: Mapping[str, int]) -> dict[str, int]:
        """At least what the claim has reported before: a beat in passing knows no newer marks."""
        state = self.state()
        return {**(state.telemetry_end if state is not None else {}), **telemetry_end}

    def _append_checked(self, record: Record, *, is_last: bool) -> None:
        try:
            self.check()
        except FencedError:
            if self._has_ended_with(record):
                return
            raise
        began_s = self._journal.clock.monotonic()
        self._journal.append(record)
        self._acknowledged_s = began_s
        self._is_over |= is_last

    def _has_ended_with(self, record: Record) -> bool:
        """Whether an append whose outcome was unknown has succeeded, and was the claim's last record."""
        state = self.state()
        return state is not None and state.last_event_id == record.event_id

    def _insist(self, action: Callable[[], None]) -> None:
        """Do it again until the log answers."""
        delay_s = RETRY_S
        while True:
            try:
                return action()
            except (LogCorruptError, LogRefusedError, RecordError) as error:
                message = f"a record of stage {self.claimed.stage} can't be kept: {error}"
                raise StageError(message) from error
            except (LogError, AppendUnknownError):
                self._pause(delay_s)
                delay_s = min(RETRY_MAX_S, 2 * delay_s)


def find_claim(run: RunState, claimed: StageClaimed) -> ClaimState | None:
    """The claim in its run, if its claiming was valid."""
    stage = run.stage(claimed.stage)
    if stage is None:
        return None
    for attempt in reversed(stage.attempts):
        if attempt.number == claimed.attempt:
            return next((claim for claim in attempt.claims if claim.claim_id == claimed.claim_id), None)
    return None
