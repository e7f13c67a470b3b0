"""A worker: claims requested stages with its free slots and sees each of them through to its record.

It starts with its zygote and one thread for each slot; this file is what holds them together, from the first record
(`WorkerStarted`) to the last (`WorkerStopped`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from crucible.blobs import BlobStore
from crucible.errors import InternalError, LogCorruptError, LogError, StorageError
from crucible.journal import Journal
from crucible.logger import warning
from crucible.place import Place
from crucible.processors.child_process import ChildProcess
from crucible.processors.claim_telemetry import TelemetryDrain
from crucible.processors.nursery import Nursery
from crucible.processors.offers import Abilities, Eligibility, Offer, Offers
from crucible.processors.pulse import Pulse
from crucible.processors.slot import Slot, SlotTools
from crucible.processors.view import View
from crucible.processors.zygote import Zygote
from crucible.records.log_events import WorkerStarted, WorkerStopped
from crucible.rules.state import RunState
from crucible.spool.layout import SPOOL_BYTES_MAX
from crucible.version import VERSION

LEASE_MS: Final = 15_000
WAIT_S: Final = 0.1
"""Longest sleep before the worker looks whether it is to stop."""
BUSY_S: Final = 0.02
"""While every slot is busy the worker's thread reads this seldom: the slots read for themselves."""
DRAIN_WAIT_S: Final = 0.02
"""The same while it drains."""
DRAIN_S_MAX: Final = 60.0
"""After this long a drain ends whatever has not ended by itself, for example because the log does not answer."""
IDLE_S: Final = 5.0
"""Longest sleep of a slot without work."""
BACKOFF_S: Final = 0.5
"""Pause after the log failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """What a worker has done since it was made."""

    worker_id: str
    slots: int
    busy: int
    """Slots that run a stage now."""
    offers: int
    """Requested stages that it sees and has not claimed."""
    ended: Mapping[str, int]
    """Claims by how they ended: completed, failed, canceled, drained, fenced, killed, lost."""
    refused: Mapping[str, str]
    """Requested stages that it can't serve: run id and why."""


class Worker:
    """Works on stages of a log. `run` belongs to one thread; any thread may call the other methods."""

    def __init__(
        self,
        journal: Journal,
        place: Place,
        *,
        slots: int,
        queues: Collection[str],
        zygote: Zygote,
        drain: TelemetryDrain,
        blobs: BlobStore,
        lease_ms: int = LEASE_MS,
        adapters: Collection[str] | None = None,
        namespaces: Collection[str] | None = None,
        resources: Mapping[str, float | str] | None = None,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        is_fencing: bool = True,
    ) -> None:
        """Serve ``queues`` with ``slots`` stages at once; ``adapters`` None: all that are installed.

        Without ``is_fencing`` claims are not checked before they write: for tests that must fail then.
        """
        if adapters is None:
            from crucible.adapters.registry import adapter_names

            adapters = adapter_names()
        self.worker_id = journal.ids.uuid7()
        self._journal = journal
        self._place = place
        self._zygote = zygote
        self._queues = sorted(queues)
        self._adapters = sorted(adapters)
        self._host = socket.gethostname()
        self._view = View(journal, self)
        self._offers = Offers(journal.clock.monotonic)
        self._changed = threading.Condition(self._view.lock)
        self._eligibility = Eligibility(
            Abilities(queues=queues, adapters=adapters, namespaces=namespaces, resources=resources or {}),
            blobs,
            place.home,
        )
        self._refused: dict[str, str] = {}
        self._ended: Counter[str] = Counter()
        self._pulse = Pulse(journal.clock)
        self._nursery = Nursery(self._fork, slots=slots)
        self._lock_file = -1
        self._is_stopping = False
        self._is_hungry = threading.Event()
        self._waiting = 0
        self._killed = threading.Event()
        self._problem: BaseException | None = None
        tools = SlotTools(
            journal=journal,
            place=place,
            view=self._view,
            blobs=blobs,
            drain=drain,
            pulse=self._pulse,
            nursery=self._nursery,
            outcomes=self,
            worker_id=self.worker_id,
            host=self._host,
            lease_ms=lease_ms,
            spool_bytes_max=spool_bytes_max,
            is_fencing=is_fencing,
        )
        self._slots = [Slot(tools) for _ in range(slots)]

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; then stages save a checkpoint, stop, and are given back.

        Raises ``LogCorruptError`` when the log is damaged, ``InternalError`` when a slot fails.
        """
        self._take_lock()
        threads: list[threading.Thread] = []
        try:
            self._nursery.warm(len(self._slots))
            leftovers = list(self._place.scratch.iterdir())
            self._insist_started(stop)
            self._remove(leftovers)
            for number, slot in enumerate(self._slots, 1):
                name = f"crucible-slot-{number}"
                threads.append(threading.Thread(target=self._work, args=(slot,), name=name, daemon=True))
                threads[-1].start()
            while not stop.is_set() and self._problem is None and not self._killed.is_set():
                self._follow(WAIT_S)
                self._is_hungry.wait(BUSY_S)
            self._drain(threads)
            self._raise_problem()
        finally:
            self._end(threads)

    def kill(self) -> None:
        """End all stages now; their claims are given back if the log answers."""
        self._killed.set()
        for slot in self._slots:
            slot.kill()
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def statistics(self) -> WorkerStatistics:
        """What was done so far."""
        with self._changed:
            return WorkerStatistics(
                worker_id=self.worker_id,
                slots=len(self._slots),
                busy=sum(slot.is_busy for slot in self._slots),
                offers=len(self._offers),
                ended=dict(self._ended),
                refused=dict(self._refused),
            )

    # Called by the view and by slots

    def run_changed(self, run: RunState) -> None:
        """An event changed this run; the view's lock is held."""
        for slot in self._slots:
            slot.run_changed(run)
        if run.is_terminal:
            self._refused.pop(run.run_id, None)
        if self._offers.note(run):
            self._changed.notify()

    def ended(self, status: str) -> None:
        """A claim of a slot has ended."""
        with self._changed:
            self._ended[status] += 1

    # The worker's thread

    def _insist_started(self, stop: threading.Event) -> None:
        """Say that the worker is there, once the log answers."""
        started = self._journal.make(
            WorkerStarted,
            worker_id=self.worker_id,
            host=self._host,
            pid=os.getpid(),
            slots=len(self._slots),
            queues=self._queues,
            adapters=self._adapters,
            crucible_version=VERSION,
        )
        while not stop.is_set() and not self._killed.is_set():
            with self._patience():
                self._journal.append(started)
                self._view.advance()
                return

    def _follow(self, wait_s: float) -> None:
        """Read what is new."""
        with self._patience():
            self._view.wait(wait_s)
            self._view.take_in()
        if self._pulse.problem is not None:
            self._problem = self._pulse.problem

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """Pause when the log does not answer; a damaged log ends the worker."""
        try:
            yield
        except LogCorruptError:
            raise
        except LogError as error:
            warning("worker", "the log failed; stages go on", error=str(error))
            self._killed.wait(BACKOFF_S)

    def _drain(self, threads: list[threading.Thread]) -> None:
        """Let stages come to an end; how long that may take is theirs to limit."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        for slot in self._slots:
            slot.drain()
        until_s = self._journal.clock.monotonic() + DRAIN_S_MAX
        while any(thread.is_alive() for thread in threads) and self._problem is None:
            self._follow(DRAIN_WAIT_S)
            if self._journal.clock.monotonic() >= until_s:
                self.kill()

    def _raise_problem(self) -> None:
        if isinstance(self._problem, StorageError | OSError):
            raise self._problem
        if self._problem is not None:
            message = f"worker {self.worker_id} failed: {self._problem!r}"
            raise InternalError(message) from self._problem

    def _end(self, threads: list[threading.Thread]) -> None:
        """Leave nothing behind."""
        was_killed = self._killed.is_set()
        self.kill()
        for thread in threads:
            thread.join()
        self._pulse.close()
        self._nursery.close()
        with contextlib.suppress(LogError):
            reason = "stopped" if was_killed or self._problem is not None else "drained"
            self._journal.append(self._journal.make(WorkerStopped, worker_id=self.worker_id, reason=reason))
            self._lock_path.unlink(missing_ok=True)
        os.close(self._lock_file)

    @property
    def _lock_path(self) -> Path:
        return self._place.workers / f"{self.worker_id}.lock"

    def _take_lock(self) -> None:
        """Hold the lock file that says on this host that the worker or a child of it lives."""
        self._place.create()
        self._lock_file = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)

    def _fork(self) -> ChildProcess:
        return ChildProcess(self._zygote, [self._lock_file])

    def _remove(self, leftovers: list[Path]) -> None:
        """Remove the folders of claims that ended with their worker; the world has been read since they were listed."""
        with self._view.lock:
            live = {run.live_claim.claim_id for run in self._view.world.runs.values() if run.live_claim is not None}
        for folder in leftovers:
            if folder.name not in live:
                shutil.rmtree(folder, ignore_errors=True)

    # A slot's thread

    def _work(self, slot: Slot) -> None:
        try:
            while (offer := self._next_offer()) is not None:
                try:
                    slot.work(offer)
                except LogCorruptError:
                    raise
                except LogError:
                    with self._changed:
                        self._offers.give_back(offer)
                    self._killed.wait(BACKOFF_S)
        except BaseException as error:  # noqa: BLE001  the worker's thread raises it
            self._problem = error

    def _next_offer(self) -> Offer | None:
        """Wait for an attempt that this worker is to claim; None when it stops."""
        while (offer := self._taken_offer()) is not None:
            with self._view.lock:
                submission = self._view.world.submission(offer.created.submission_id)
            problem = self._eligibility.problem(offer.request, submission)
            if problem is None:
                return offer
            with self._changed:
                self._refuse(offer, problem)
        return None

    def _taken_offer(self) -> Offer | None:
        with self._changed:
            while not self._is_stopping:
                offer = self._offers.take(self.worker_id, self._view.world.present)
                if offer is not None:
                    return offer
                self._waiting += 1
                self._is_hungry.set()
                self._changed.wait(self._offers.wait_s(IDLE_S))
                self._waiting -= 1
                if not self._waiting:
                    self._is_hungry.clear()
            return None

    def _refuse(self, offer: Offer, problem: str) -> None:
        self._offers.give_back(offer, is_refused=True)
        if self._refused.get(offer.request.run_id) != problem:
            self._refused[offer.request.run_id] = problem
            warning(
                "worker",
                "a stage can't be served here",
                run=offer.created.ref,
                stage=offer.request.stage,
                reason=problem,
            )
