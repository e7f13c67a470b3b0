"""Brings telemetry from spools to the log: one thread for all spools of a process.

A spool keeps its telemetry until the log has it, so a log that does not answer delays and never loses. Whatever a
drain appends twice (after a kill, or because two drained at once) carries the same spool and sequence numbers.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

from crucible.blobs import BlobStore, open_blobs
from crucible.errors import InternalError, LogError, LogRefusedError, RecordError, SpoolError, StorageError
from crucible.journal import Journal
from crucible.logger import warning
from crucible.place import Place
from crucible.producers.drained_claim import DrainedClaim, Harvest
from crucible.producers.drained_spool import DrainedSpool, claim_of, remove_leftovers, spool_names
from crucible.producers.process_sample import measure_groups
from crucible.spool.layout import SpoolMeta

INTERVAL_S = 0.1
"""Longest wait between two looks at a spool."""
INTERVAL_MIN_S = 0.01
"""Shortest wait, unless there is a backlog."""
POINTS_PER_INTERVAL = 1000
"""With more points than this in one interval, the drain looks more often."""
SAMPLE_INTERVAL_S = 10.0
"""How often the resources of stages are measured."""
BACKOFF_S = 0.1
"""Wait after the log or the disk has failed; doubles with each failure in a row."""
BACKOFF_MAX_S = 5.0
"""Longest such wait."""
CLOSE_TIMEOUT_S = 10.0
"""How long ``close`` tries to bring the rest to the log."""


@dataclasses.dataclass(frozen=True, slots=True)
class DrainStatistics:
    """What a drain has done since it was made."""

    points: int
    records: int
    failures: int
    """Passes that the log or the disk did not take."""
    claims: int
    """Claims at hand at this moment."""


class Drain:
    """Drains the spools that are attached to it. Every method may be called from any thread."""

    def __init__(self, journal: Journal, place: Place, *, blobs: BlobStore | None = None) -> None:
        """Append to ``journal`` what spools below ``place.spool`` hold; the thread starts with the first of them."""
        self._journal = journal
        self._root = place.spool
        self._blobs = open_blobs(place) if blobs is None else blobs
        self._changed = threading.Condition()
        self._claims: dict[str, DrainedClaim] = {}
        self._set_aside: set[str] = set()
        self._unsent: list[Harvest] = []
        self._thread: threading.Thread | None = None
        self._is_urgent = False
        self._is_waiting_for_claims = False
        self._close_by: float | None = None
        self._is_closing = False
        self._problem: Exception | None = None
        self._sample_due = 0.0
        self._points = self._records = self._failures = 0

    def attach(self, folder: Path, run_id: str, stage: str, attempt: int, claim_id: str) -> None:
        """Drain ``folder`` (``place.spool / claim_id``), which need not be there yet, and those of forked processes."""
        with self._changed:
            self._refuse_if_closed()
            if claim_id not in self._claims:
                self._claims[claim_id] = DrainedClaim(folder, SpoolMeta(run_id, stage, attempt, claim_id, pid=0))
            self._start()

    def detach(self, claim_id: str) -> None:
        """Nothing more will come: when all is on the log and the writer is gone, the spool is removed."""
        with self._changed:
            if claim_id in self._claims:
                self._claims[claim_id].is_ending = True

    def adopt(self) -> list[str]:
        """Take over spools whose writers are gone and that no drain has, and remove them when they are on the log.

        Returns the claims. Any number of adopters may call this at any time.
        """
        adopted = []
        remove_leftovers(self._root)
        with self._changed:
            self._refuse_if_closed()
            for name in spool_names(self._root):
                claim_id = claim_of(name)
                claim = self._claims.get(claim_id)
                if name in self._set_aside or (claim is not None and not claim.is_adopted):
                    continue
                spool = self._adopt(self._root / name)
                if spool is not None:
                    claim = claim or DrainedClaim(self._root / claim_id, spool.meta, is_adopted=True)
                    claim.add(spool)
                    self._claims[claim_id] = claim
                    adopted.append(claim_id)
            if adopted:
                self._start()
        return adopted

    def sample(self, claim_id: str, process_group: int) -> None:
        """Measure the resources of a process group now and then, for as long as the claim is attached."""
        before = measure_groups({process_group}, leaders_only=True).get(process_group)
        with self._changed:
            if claim_id in self._claims:
                self._claims[claim_id].process_group = process_group
                self._claims[claim_id].cpu_seconds_before = before.cpu_seconds if before else 0.0

    def log_lines(self, claim_id: str, stream: str, data: bytes, *, dropped_bytes: int = 0) -> None:
        """Keep what a stage printed to ``stream``, as its parent read it; ``dropped_bytes`` were over a limit."""
        with self._changed:
            if claim_id in self._claims:
                self._claims[claim_id].add_lines(stream, data, dropped_bytes, self._journal.clock.now_us())

    def marks(self, claim_id: str) -> dict[str, int]:
        """For each spool of the claim, the next sequence as of now: everything logged so far lies below."""
        with self._changed:
            claim = self._claims.get(claim_id)
            if claim is None:
                return {}
            claim.discover(spool_names(self._root))
            return claim.marks()

    def flush(self, claim_id: str, timeout_s: float | None = None) -> dict[str, int]:
        """Wait until everything below the present marks is on the log, and return them.

        Raises ``LogError`` when ``timeout_s`` passes first, ``SpoolError`` if a spool can't be read.
        """
        with self._changed:
            claim = self._claims.get(claim_id)
            if claim is None:
                return {}
            claim.discover(spool_names(self._root))
            marks, observed = claim.marks(), claim.observed_end
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            while not claim.has_on_log(marks, observed):
                self._raise_problem(claim)
                self._is_urgent = True
                self._changed.notify_all()
                rest_s = None if deadline is None else deadline - time.monotonic()
                if rest_s is not None and rest_s <= 0:
                    message = (
                        f"the log did not take the telemetry of claim {claim_id} within {timeout_s} s; "
                        f"it stays in {claim.folder} until the log answers"
                    )
                    raise LogError(message)
                self._changed.wait(rest_s)
            self._raise_problem(claim)
            return marks

    def flush_all(self, timeout_s: float | None = None) -> None:
        """``flush`` for every claim at hand, the adopted ones among them."""
        with self._changed:
            claims = list(self._claims)
        for claim_id in claims:
            self.flush(claim_id, timeout_s)

    def statistics(self) -> DrainStatistics:
        """What was done so far."""
        with self._changed:
            return DrainStatistics(self._points, self._records, self._failures, len(self._claims))

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Bring what is there to the log, as far as ``timeout_s`` allows; the rest is left to the next drain."""
        with self._changed:
            if self._close_by is None:
                self._close_by = time.monotonic() + timeout_s
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s + BACKOFF_MAX_S)
        with self._changed:
            for claim in self._claims.values():
                claim.release()
            self._claims.clear()

    def _adopt(self, folder: Path) -> DrainedSpool | None:
        try:
            return DrainedSpool.adopt(folder)
        except SpoolError as error:
            self._set_aside.add(folder.name)
            _warn("spool set aside", folder=str(folder), problem=str(error))
            return None

    def _refuse_if_closed(self) -> None:
        if self._close_by is not None:
            message = "the drain is closed; make a new one"
            raise InternalError(message)

    def _raise_problem(self, claim: DrainedClaim) -> None:
        if self._problem is not None:
            message = f"the drain has stopped ({self._problem!r}); telemetry stays in {self._root} for the next"
            raise InternalError(message) from self._problem
        if claim.problem is not None:
            raise claim.problem

    def _start(self) -> None:
        """Start the thread, or wake it if it waits for a claim; the lock is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="crucible-drain", daemon=True)
            self._thread.start()
        elif self._is_waiting_for_claims:
            self._changed.notify_all()

    def _run(self) -> None:
        backoff_s = BACKOFF_S
        wait_s = 0.0
        try:
            while self._wait(wait_s):
                try:
                    wait_s = self._pass()
                    backoff_s = BACKOFF_S
                except (StorageError, OSError) as error:
                    if backoff_s == BACKOFF_S:
                        _warn("telemetry waits", problem=str(error))
                    self._failures += 1
                    wait_s, backoff_s = backoff_s, min(2 * backoff_s, BACKOFF_MAX_S)
        except Exception as error:  # noqa: BLE001 - whoever flushes gets it
            _warn("drain stopped", problem=repr(error))
            with self._changed:
                self._problem = error
                self._changed.notify_all()

    def _wait(self, wait_s: float) -> bool:
        """Wait for work. False when the drain is closed and all is on the log, or its time is over."""
        with self._changed:
            if self._close_by is not None:
                return self._wait_closing(wait_s, self._close_by)
            if not self._is_urgent and wait_s > 0:
                self._is_waiting_for_claims = not self._claims
                self._changed.wait(wait_s if self._claims else None)
                self._is_waiting_for_claims = False
            self._is_urgent = False
            return True

    def _wait_closing(self, wait_s: float, close_by: float) -> bool:
        """As ``_wait``, once the drain is closed: one more pass, and as many as it takes until ``close_by``."""
        if not self._is_closing:
            self._is_closing = True
            return True
        rest_s = close_by - time.monotonic()
        if rest_s <= 0 or (wait_s > 0 and not self._unsent):
            return False
        if wait_s > 0:
            self._changed.wait(min(wait_s, rest_s))
        return True

    def _pass(self) -> float:
        """Bring what is new to the log; returns how long to wait for the next pass, 0 if there is more."""
        ended: list[tuple[DrainedClaim, DrainedSpool]] = []
        if not self._unsent:
            self._measure()
            ended, self._unsent = self._take()
        harvests = self._append(self._unsent)
        self._unsent = []
        return self._settle(harvests, ended)

    def _take(self) -> tuple[list[tuple[DrainedClaim, DrainedSpool]], list[Harvest]]:
        """The spools to which nothing can come any more, and after that what is new in all of them."""
        with self._changed:
            names = spool_names(self._root)
            for claim in self._claims.values():
                claim.discover(names)
            claims = [(claim, claim.spools, claim.observed) for claim in self._claims.values()]
        ended = [(claim, spool) for claim, spools, _ in claims for spool in spools if _has_ended(claim, spool)]
        harvests = []
        for claim, spools, observed in claims:
            for spool in spools:
                try:
                    taken = spool.take(self._journal, self._blobs)
                except SpoolError as error:
                    with self._changed:
                        claim.set_aside(spool, error)
                    continue
                if not taken.is_empty:
                    harvests.append(Harvest(claim, spool, taken))
            if observed:
                harvests.append(claim.harvest_observed(observed, self._journal, self._blobs))
        return ended, harvests

    def _append(self, harvests: list[Harvest]) -> list[Harvest]:
        """Append; returns what the log took. A spool whose records it refuses is set aside."""
        batches = [[record] for harvest in harvests for record in harvest.taken.records]
        try:
            self._journal.append_batches(batches)
        except (LogRefusedError, RecordError) as error:
            if len(harvests) == 1:
                harvest = harvests[0]
                problem = SpoolError(f"the log refused telemetry of claim {harvest.claim.meta.claim_id}: {error}")
                with self._changed:
                    harvest.set_aside(problem)
                return []
            return [taken for harvest in harvests for taken in self._append([harvest])]
        return harvests

    def _settle(self, harvests: list[Harvest], ended: list[tuple[DrainedClaim, DrainedSpool]]) -> float:
        """Note what is on the log, let go of what has ended, and say how long to wait."""
        points = sum(harvest.taken.points for harvest in harvests)
        busy = {id(harvest.spool) for harvest in harvests}
        finished = [(claim, spool) for claim, spool in ended if id(spool) not in busy]
        with self._changed:
            for harvest in harvests:
                harvest.acknowledge()
                self._records += len(harvest.taken.records)
            self._points += points
            for claim, spool in finished:
                claim.forget(spool)
            for claim_id in [key for key, claim in self._claims.items() if claim.is_finished]:
                self._let_go(self._claims.pop(claim_id))
            self._changed.notify_all()
        for harvest in harvests:
            harvest.remove_read()
        for _, spool in finished:
            spool.remove()
        if any(harvest.taken.is_backlog for harvest in harvests):
            return 0.0
        return min(INTERVAL_S, max(INTERVAL_MIN_S, INTERVAL_S * POINTS_PER_INTERVAL / max(points, 1)))

    def _let_go(self, claim: DrainedClaim) -> None:
        if claim.problem is not None:
            self._set_aside |= claim.ignored
            _warn("spool set aside", claim_id=claim.meta.claim_id, problem=str(claim.problem))

    def _measure(self) -> None:
        """Measure the stages' resources when it is time."""
        now = time.monotonic()
        if now < self._sample_due:
            return
        self._sample_due = now + SAMPLE_INTERVAL_S
        with self._changed:
            watched = {claim.process_group: claim for claim in self._claims.values() if claim.process_group is not None}
        for group, usage in measure_groups(watched).items() if watched else ():
            with self._changed:
                watched[group].add_sample(usage, self._journal.clock.now_us())


def _has_ended(claim: DrainedClaim, spool: DrainedSpool) -> bool:
    """Whether nothing can come any more: to be asked before the last look into the spool."""
    return spool.is_gone() or (claim.is_ending and spool.is_orphan())


def _warn(event: str, **values: str) -> None:
    warning("drain", event, **values)
