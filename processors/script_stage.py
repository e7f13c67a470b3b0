"""The one stage of a plain script's run, worked on by the script itself: a worker with one slot and no child.

It claims like any worker, and its records are checked like any worker's. What it can't do is end the process when the
claim has ended or the run is canceled: it asks the loop to stop, and refuses to write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from crucible.attach import ScriptTelemetry
from crucible.blobs import BlobStore
from crucible.board import Board, Wish, open_page
from crucible.errors import FencedError, InternalError, LogCorruptError, LogError, StageCanceledError, StorageError
from crucible.journal import Journal
from crucible.place import Place
from crucible.processors.claim import Claim, find_claim
from crucible.processors.claim_telemetry import ClaimTelemetry, TelemetryDrain
from crucible.processors.offers import Offer
from crucible.processors.slot import TEXT_LINE_MAX, stage_call
from crucible.processors.stage_answers import StageAnswers
from crucible.processors.stage_host import failure
from crucible.processors.view import View
from crucible.records.log_events import WorkerStarted, WorkerStopped
from crucible.records.stage_events import StageCanceled, StageClaimed, StageCompleted, StageFailed
from crucible.remote_services import RemoteServices, error_of
from crucible.rules.state import RunState
from crucible.run import Run
from crucible.spool.lock import HeldLock
from crucible.stage_result import result_metrics
from crucible.version import VERSION

REQUEST_TIMEOUT_S: Final = 30.0
"""How long a manager may take to ask for the stage."""
FOLLOW_S: Final = 0.2
"""Longest sleep between two looks at the log."""
RETRY_S: Final = 0.2
"""Wait after the log did not answer."""


class OwnServices(RemoteServices):
    """The services of a stage whose records are written by its own process."""

    def __init__(self, answers: StageAnswers) -> None:
        self._answers = answers
        self._lock = threading.Lock()

    def ask(self, question: str, **details: Any) -> Any:
        """Ask; raises what the answer says."""
        with self._lock:
            answer = self._answers.answer({"ask": question, **details})
        if "error" in answer:
            raise error_of(answer)
        return answer["answer"]


class ScriptStage:
    """Claims the stage of a script's submission and sees it through; the public methods are for the script's thread."""

    def __init__(
        self,
        journal: Journal,
        place: Place,
        *,
        drain: TelemetryDrain,
        blobs: BlobStore,
        submission_id: str,
        queue: str,
        lease_ms: int,
        spool_bytes_max: int,
    ) -> None:
        """Work for ``submission_id``, whose stage waits in ``queue``."""
        self._journal = journal
        self._place = place
        self._drain = drain
        self._blobs = blobs
        self._submission_id = submission_id
        self._queue = queue
        self._lease_ms = lease_ms
        self._spool_bytes_max = spool_bytes_max
        self._worker_id = journal.ids.uuid7()
        self._host = socket.gethostname()
        self._board = Board(open_page())
        self._view = View(journal, self)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="crucible-script", daemon=True)
        self._lock: HeldLock | None = None
        self._run_state: RunState | None = None
        self._claim: Claim | None = None
        self._telemetry: ClaimTelemetry | None = None
        self._problem: LogError | None = None

    def begin(self, timeout_s: float = REQUEST_TIMEOUT_S) -> Run:
        """Claim the stage, once a manager has asked for it; returns the run.

        Raises ``StorageError`` when no manager does within ``timeout_s``, ``FencedError`` when the run has ended.
        """
        self._lock = HeldLock.take(self._lock_path, is_created=True)
        self._journal.append(
            self._journal.make(
                WorkerStarted,
                worker_id=self._worker_id,
                host=self._host,
                pid=os.getpid(),
                slots=1,
                queues=[self._queue],
                adapters=[],
                crucible_version=VERSION,
            )
        )
        self._thread.start()
        offer = self._wait_for_offer(timeout_s)
        claimed, began_s = self._append_claim(offer)
        claim = Claim(self._journal, self._view, claimed, acknowledged_s=began_s, pause=time.sleep)
        call = stage_call(offer, claimed, self._place)
        folder = Path(call.spool)
        telemetry = ClaimTelemetry(self._drain, claim, folder, time.sleep)
        telemetry.attach(os.getpid() if os.getpgrp() == os.getpid() else None)
        answers = StageAnswers(
            call, claim, journal=self._journal, view=self._view, blobs=self._blobs, telemetry=telemetry
        )
        self._call = call
        self._writer = ScriptTelemetry(folder, call, spool_bytes_max=self._spool_bytes_max)
        self._run = Run(call, self._writer, OwnServices(answers), board=self._board)
        self._began_s = time.monotonic()
        with self._changed:
            self._claim, self._telemetry = claim, telemetry
        return self._run

    def complete(self) -> None:
        """Record the results: what the script put into the summary, and the last values of declared metrics.

        Raises ``StageError`` for a result that is not what was declared, ``FencedError`` when the claim has ended.
        """
        results = {**self._writer.last, **self._run.results}
        metrics = result_metrics(self._call.metrics, results, self._run.scores, is_simulated=self._run.is_simulated)
        self._finish(
            StageCompleted,
            metrics=metrics,
            duration_ms=(time.monotonic() - self._began_s) * 1000,
            is_simulated=self._run.is_simulated,
        )

    def fail(self, error: BaseException) -> None:
        """Record how the script failed, or that it stopped because its run is canceled."""
        run = self._run_state
        if isinstance(error, StageCanceledError) and run is not None and run.cancel_reason is not None:
            self._finish(StageCanceled)
            return
        outcome = failure(error)
        self._finish(
            StageFailed,
            error_class=outcome["error_class"],
            error_type=outcome["error_type"],
            message=str(outcome["message"])[:TEXT_LINE_MAX],
            traceback_blob=self._blobs.put_bytes(outcome["traceback"].encode(errors="replace")),
            is_retryable=False,
        )

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until a manager has ended the run; False when ``timeout_s`` passed first."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._run_state is not None and self._run_state.is_terminal, timeout_s
            )

    def close(self) -> None:
        """Give everything back. What was logged is brought to the log by the drain, or by the next engine."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._telemetry is not None:
            self._writer.close()
            self._telemetry.detach()
            shutil.rmtree(self._call.scratch, ignore_errors=True)
        if self._lock is not None:
            with contextlib.suppress(LogError):  # then the reaper says it
                self._journal.append(self._journal.make(WorkerStopped, worker_id=self._worker_id, reason="stopped"))
                self._lock_path.unlink(missing_ok=True)
            self._lock.release()

    def run_changed(self, run: RunState) -> None:
        """Look whether a changed run is the script's, and whether it is to stop; the view's lock is held."""
        if run.created.submission_id != self._submission_id:
            return
        with self._changed:
            self._run_state = run
            claim = self._claim
            self._changed.notify_all()
        if claim is not None:
            state = find_claim(run, claim.claimed)
            if state is None or state.status != "live" or run.cancel_reason is not None:
                self._board.wish = Wish.CANCEL

    @property
    def _lock_path(self) -> Path:
        return self._place.workers / f"{self._worker_id}.lock"

    def _wait_for_offer(self, timeout_s: float) -> Offer:
        with self._changed:
            self._changed.wait_for(
                lambda: self._offer() is not None or self._has_ended() or self._problem is not None, timeout_s
            )
            offer = self._offer()
            run = self._run_state
        if self._problem is not None:
            raise self._problem
        if offer is not None:
            return offer
        if run is not None and self._has_ended():
            message = f"run {run.created.ref} has ended before the script could begin: {run.end_reason or run.status}"
            raise FencedError(message)
        message = f"no manager asked for the script's stage within {timeout_s:g} s; see that an engine is alive"
        raise StorageError(message)

    def _has_ended(self) -> bool:
        return self._run_state is not None and self._run_state.is_terminal

    def _offer(self) -> Offer | None:
        """The stage if it may be claimed."""
        run = self._run_state
        stage = run.current_stage if run is not None else None
        attempt = stage.current if stage is not None else None
        if run is None or attempt is None or attempt.status != "requested" or attempt.request is None:
            return None
        return Offer(run.created, attempt.request, self._journal.clock.monotonic())

    def _append_claim(self, offer: Offer) -> tuple[StageClaimed, float]:
        began_s = self._journal.clock.monotonic()
        claimed = self._journal.make(
            StageClaimed,
            causation=offer.request,
            run_id=offer.request.run_id,
            stage=offer.request.stage,
            attempt=offer.request.attempt,
            claim_id=self._journal.ids.uuid7(),
            worker_id=self._worker_id,
            host=self._host,
            lease_ms=self._lease_ms,
        )
        self._journal.append(claimed)
        self._view.advance()
        run = self._view.run(claimed.run_id)
        state = find_claim(run, claimed) if run is not None else None
        if state is None or state.status != "live":
            message = f"run {offer.created.ref} can't be claimed: it was canceled, or another process has it"
            raise FencedError(message)
        return claimed, began_s

    def _finish(self, record_type: type[StageCompleted | StageFailed | StageCanceled], **fields: Any) -> None:
        if self._claim is None or self._telemetry is None:
            message = "the script's stage ends before it has begun"
            raise InternalError(message)
        telemetry_end: Mapping[str, int] = self._telemetry.flush(self._writer.mark())
        self._claim.write(record_type, is_last=True, telemetry_end=telemetry_end, **fields)

    # The thread that follows the log

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._view.wait(FOLLOW_S)
                self._view.advance()
                self._beat_if_due()
            except LogCorruptError as error:
                with self._changed:
                    self._problem = error
                    self._changed.notify_all()
                self._board.wish = Wish.CANCEL
                return
            except LogError:
                self._stopping.wait(RETRY_S)

    def _beat_if_due(self) -> None:
        with self._changed:
            claim, telemetry = self._claim, self._telemetry
        if claim is not None and telemetry is not None and claim.next_beat_s <= self._journal.clock.monotonic():
            claim.heartbeat(self._board.step or None, telemetry.marks())
