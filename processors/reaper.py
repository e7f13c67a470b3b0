"""Ends the leases of workers that are gone, so that others take over what they held.

Silence is judged by the reaper's own clock and its own reading, never by times in records: a wrong reaper costs work
and can't make a wrong result, because the fold ends a claim only if the reaper has seen its last record. On the same
host a free lock file says at once that a worker and all its children are gone.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

from crucible.canonical import derived_id
from crucible.errors import LogCorruptError, LogError
from crucible.journal import Journal
from crucible.logger import warning
from crucible.place import Place
from crucible.processors.follower import Follower, Read
from crucible.records.log_events import WorkerStarted, WorkerStopped
from crucible.records.stage_events import StageLeaseExpired
from crucible.rules.lease import LeaseWatch
from crucible.rules.state import ClaimState
from crucible.rules.world import World

ROUND_S = 0.2
"""From one tick of `Reaper.run` to the next: how soon a free lock file is noticed."""
BACKOFF_S = 0.5
"""Pause after the log failed."""


class Reaper:
    """Watches live claims. For one thread."""

    def __init__(self, journal: Journal, place: Place | None, *, host: Callable[[], str]) -> None:
        """``place`` is where workers of this host, as ``host`` names it, keep their lock files; None: nowhere."""
        self._journal = journal
        self._place = place
        self._host = host()
        self._start()

    @property
    def world(self) -> World:
        """What the reaper has read so far."""
        return self._follower.world

    def run(self, stop: threading.Event) -> None:
        """Tick until ``stop`` is set. A log that fails is tried again; one that is damaged ends it."""
        while not stop.wait(ROUND_S):
            try:
                self.tick()
            except LogCorruptError:
                raise
            except LogError as error:
                _warn("the log failed; the reaper starts over", error=str(error), pause_s=BACKOFF_S)
                stop.wait(BACKOFF_S)

    def tick(self) -> int:
        """Read to the end of the log and end what is over. Returns how many leases were ended.

        Raises ``LogError`` when the log does not answer; the next tick then starts over, and waits one whole lease.
        """
        clock = self._journal.clock
        try:
            self._watch.begin(clock.monotonic())
            self._follower.catch_up(self._note)
            self._watch.read(clock.monotonic())
            self._hear()
            return self._end_gone() + self._end_silent()
        except LogError:
            self._start()
            raise

    def _start(self) -> None:
        self._follower = Follower(self._journal, ("events",))
        self._watch = LeaseWatch(self._journal.clock.monotonic())
        self._runs: dict[str, str] = {}
        """The run of each live claim."""
        self._touched: dict[str, str] = {}
        """Claims of which something was read in this round, and the run of each."""
        self._neighbours: dict[str, None] = {}
        """Workers of this host that have not stopped."""

    def _note(self, read: Read) -> None:
        event = read.record
        if read.void is not None:
            return
        if isinstance(event, WorkerStarted):
            if event.host == self._host:
                self._neighbours[event.worker_id] = None
        elif isinstance(event, WorkerStopped):
            self._neighbours.pop(event.worker_id, None)
        elif (claim_id := getattr(event, "claim_id", None)) is not None:
            self._touched[claim_id] = event.key

    def _hear(self) -> None:
        """Tell the watch of the claims that were spoken of, now that everything was read."""
        for claim_id, run_id in self._touched.items():
            claim = self.world.runs[run_id].live_claim
            if claim is not None and claim.claim_id == claim_id:
                self._runs[claim_id] = run_id
                self._watch.heard(claim_id, claim.lease_ms)
            else:
                self._runs.pop(claim_id, None)
                self._watch.ended(claim_id)
        self._touched.clear()

    def _live_claim(self, claim_id: str) -> ClaimState | None:
        run_id = self._runs.get(claim_id)
        return self.world.runs[run_id].live_claim if run_id is not None else None

    def _end_silent(self) -> int:
        claims = [claim for claim_id in self._watch.silent() if (claim := self._live_claim(claim_id)) is not None]
        self._journal.append_batches([[self._expiry(claim, "silent")] for claim in claims])
        return len(claims)

    def _end_gone(self) -> int:
        """End the claims of workers of this host whose lock file is free."""
        if self._place is None:
            return 0
        count = 0
        for worker_id in list(self._neighbours):
            path = self._place.workers / f"{worker_id}.lock"
            if _is_free(path):
                count += self._end_worker(worker_id, path)
        return count

    def _end_worker(self, worker_id: str, path: Path) -> int:
        claims = [claim for claim_id in self._runs if (claim := self._live_claim(claim_id)) is not None]
        claims = [claim for claim in claims if claim.worker_id == worker_id and claim.host == self._host]
        stopped = self._journal.make(
            WorkerStopped, event_id=derived_id(worker_id, "gone"), worker_id=worker_id, reason="gone"
        )
        self._journal.append_batches([*([self._expiry(claim, "gone")] for claim in claims), [stopped]])
        self._neighbours.pop(worker_id, None)
        path.unlink(missing_ok=True)
        return len(claims)

    def _expiry(self, claim: ClaimState, reason: str) -> StageLeaseExpired:
        return self._journal.make(
            StageLeaseExpired,
            event_id=derived_id(claim.claim_id, claim.last_event_id, "StageLeaseExpired"),
            run_id=self._runs[claim.claim_id],
            stage=claim.stage,
            attempt=claim.attempt,
            claim_id=claim.claim_id,
            last_event_id=claim.last_event_id,
            reason=reason,
        )


def _is_free(path: Path) -> bool:
    """Whether a lock file is there and nobody holds it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _warn(event: str, **values: object) -> None:
    warning("reaper", event, **values)
