"""A slot: one thread of a worker that claims stages one after the other and sees each through to its record."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from crucible.blobs import BlobStore
from crucible.definition.code_place import local_code
from crucible.errors import (
    CrucibleError,
    FencedError,
    LogCorruptError,
    LogError,
    StageError,
    StoppedError,
    StorageError,
)
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.logger import warning
from crucible.place import Place
from crucible.processors.child_process import ChildProcess
from crucible.processors.claim import Claim, find_claim
from crucible.processors.claim_telemetry import ClaimTelemetry, TelemetryDrain
from crucible.processors.nursery import Nursery
from crucible.processors.offers import Offer
from crucible.processors.pulse import Pulse
from crucible.processors.stage_answers import StageAnswers
from crucible.processors.stage_run import Ending, StageRun
from crucible.processors.view import View
from crucible.records.stage_events import StageCanceled, StageClaimed, StageCompleted, StageFailed, StageRequested
from crucible.rules.state import RunState
from crucible.spool.layout import SPOOL_BYTES_MAX
from crucible.stage_call import StageCall

TEXT_LINE_MAX: Final = 1_000
ON_ERROR: Final = "on_error"


class Outcomes(Protocol):
    """Who is told what became of a claim."""

    def ended(self, status: str) -> None:
        """A claim ended: completed, failed, canceled, drained, fenced, killed or lost."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class SlotTools:
    """What all slots of a worker share."""

    journal: Journal
    place: Place
    view: View
    blobs: BlobStore
    drain: TelemetryDrain
    pulse: Pulse
    nursery: Nursery
    outcomes: Outcomes
    worker_id: str
    host: str
    lease_ms: int
    spool_bytes_max: int
    is_fencing: bool


class Slot:
    """Works on one stage at a time. `work` belongs to one thread; any thread may call the others."""

    def __init__(self, tools: SlotTools) -> None:
        """Begin with nothing."""
        self._tools = tools
        self._killed = threading.Event()
        self._lock = threading.Lock()
        self._running: tuple[StageClaimed, StageRun] | None = None
        self._is_draining = False

    @property
    def is_busy(self) -> bool:
        """Whether a stage runs."""
        return self._running is not None

    def run_changed(self, run: RunState) -> None:
        """Look whether a changed run is this slot's, and whether its stage is to stop."""
        with self._lock:
            running = self._running
            if running is None or running[0].run_id != run.run_id:
                return
            claimed, stage_run = running
            state = find_claim(run, claimed)
            if state is None or state.status != "live":
                stage_run.fence()
            elif run.cancel_reason is not None:
                stage_run.cancel()

    def drain(self) -> None:
        """Let the stage save a checkpoint and stop."""
        with self._lock:
            self._is_draining = True
            if self._running is not None:
                self._running[1].drain()

    def kill(self) -> None:
        """End the stage now."""
        self._killed.set()
        with self._lock:
            if self._running is not None:
                self._running[1].rouse()

    def work(self, offer: Offer) -> bool:
        """Claim an attempt and see it through; False if another worker has it, or the log did not take the claim."""
        began_s = self._tools.journal.clock.monotonic()
        claimed = self._claim(offer)
        if claimed is None:
            return False
        claim = Claim(
            self._tools.journal,
            self._tools.view,
            claimed,
            acknowledged_s=began_s,
            pause=self._pause,
            is_fencing=self._tools.is_fencing,
        )
        self._tools.outcomes.ended(self._run(offer, claim))
        return True

    def _claim(self, offer: Offer) -> StageClaimed | None:
        """Append a claim and read it back: it holds only if it was valid at its place."""
        tools, request = self._tools, offer.request
        claimed = tools.journal.make(
            StageClaimed,
            causation=request,
            run_id=request.run_id,
            stage=request.stage,
            attempt=request.attempt,
            claim_id=tools.journal.ids.uuid7(),
            worker_id=tools.worker_id,
            host=tools.host,
            lease_ms=tools.lease_ms,
        )
        fault_point("claim:before-record")
        tools.journal.append(claimed)
        fault_point("claim:after-record")
        tools.view.advance()
        run = tools.view.run(request.run_id)
        state = find_claim(run, claimed) if run is not None else None
        return claimed if state is not None and state.status == "live" else None

    def _run(self, offer: Offer, claim: Claim) -> str:
        call = stage_call(offer, claim.claimed, self._tools.place, spool_bytes_max=self._tools.spool_bytes_max)
        telemetry = ClaimTelemetry(self._tools.drain, claim, self._tools.place.spool / claim.claim_id, self._pause)
        status = "lost"
        try:
            status = self._run_in_child(offer, claim, call, telemetry)
        except FencedError:
            status = "fenced"
        except StoppedError:
            status = "killed"
        except LogCorruptError:
            raise
        except (StageError, StorageError) as error:
            status = self._give_up(claim, telemetry, error)
        finally:
            if status in {"killed", "drained"}:
                self._release(claim)
            self._tools.pulse.forget(claim)
            telemetry.detach()
            shutil.rmtree(call.scratch, ignore_errors=True)
        return status

    def _run_in_child(self, offer: Offer, claim: Claim, call: StageCall, telemetry: ClaimTelemetry) -> str:
        tools = self._tools
        child = tools.nursery.take((call.code_path, call.code_digest))
        answers = StageAnswers(
            call, claim, journal=tools.journal, view=tools.view, blobs=tools.blobs, telemetry=telemetry
        )
        stage_run = StageRun(
            call,
            child,
            answers,
            telemetry,
            killed=self._killed,
            monotonic=tools.journal.clock.monotonic,
            timeout_ms=offer.request.timeout_ms,
            stall_timeout_ms=offer.request.stall_timeout_ms,
        )
        self._begin(claim, stage_run)
        tools.pulse.keep(claim, stage_run, telemetry)
        is_fit = False
        try:
            ending = stage_run.run()
            if ending.status in {"fenced", "killed"}:
                return ending.status
            status = self._end_hooks(claim, call, telemetry, answers, ending) if call.hooks else None
            if status is not None:
                return status
            telemetry_end = telemetry.flush(ending.marks)
            is_fit = ending.is_child_fit and (not any(ending.marks.values()) or _is_told(child))
            return self._record(claim, ending, telemetry_end)
        finally:
            with self._lock:
                self._running = None
            stage_run.close()
            tools.nursery.give_back(child, is_fit=is_fit)

    def _end_hooks(
        self, claim: Claim, call: StageCall, telemetry: ClaimTelemetry, answers: StageAnswers, ending: Ending
    ) -> str | None:
        """Record a hook that ended with its process, and call ``on_error`` where the stage's process could not.

        Returns the status of a claim that ends with that.
        """
        outcome = ending.outcome
        if ending.status != "failed":
            return None
        error_type, message = _line(outcome["error_type"]), _line(outcome["message"])
        answers.abandon_hook(error_type, message)
        hook = call.hooks.get(ON_ERROR)
        if hook is None or outcome.get("is_told"):
            return None
        failure = {"error_class": outcome["error_class"], "error_type": error_type, "message": message}
        folder = Path(call.spool)
        only = dataclasses.replace(
            call, hooks={ON_ERROR: hook}, failure=failure, spool=str(folder.with_name(f"{folder.name}.{ON_ERROR}"))
        )
        try:
            return self._run_hook(claim, only, telemetry)
        except StorageError as error:
            event = "a hook could not be called: no process for it"
            warning("worker", event, claim_id=claim.claim_id, hook=ON_ERROR, error=str(error))
            return None

    def _run_hook(self, claim: Claim, call: StageCall, telemetry: ClaimTelemetry) -> str | None:
        """Call ``on_error`` in a fresh process; the status of a claim that ends with it."""
        tools = self._tools
        child = tools.nursery.take((call.code_path, call.code_digest))
        answers = StageAnswers(
            call, claim, journal=tools.journal, view=tools.view, blobs=tools.blobs, telemetry=telemetry
        )
        hook_run = StageRun(
            call,
            child,
            answers,
            telemetry,
            killed=self._killed,
            monotonic=tools.journal.clock.monotonic,
            timeout_ms=None,
            stall_timeout_ms=None,
        )
        self._begin(claim, hook_run)
        is_fit = False
        try:
            ending = hook_run.run()
            if ending.status in {"fenced", "killed"}:
                return ending.status
            how = ending.outcome
            answers.abandon_hook(_line(how.get("error_type", ending.status)), _line(how.get("message", "was stopped")))
            telemetry.flush(ending.marks)
            is_fit = ending.is_child_fit and (not any(ending.marks.values()) or _is_told(child))
        finally:
            hook_run.close()
            tools.nursery.give_back(child, is_fit=is_fit)
        return None

    def _begin(self, claim: Claim, stage_run: StageRun) -> None:
        """Let others reach the stage, and tell it what they have said before they could."""
        with self._lock:
            self._running = (claim.claimed, stage_run)
            if self._is_draining:
                stage_run.drain()
        run = self._tools.view.run(claim.claimed.run_id)
        if run is not None:
            self.run_changed(run)

    def _record(self, claim: Claim, ending: Ending, telemetry_end: Mapping[str, int]) -> str:
        """Write how the stage ended; returns the status."""
        outcome = ending.outcome
        fault_point("end:before-record")
        if ending.status == "completed":
            claim.write(
                StageCompleted,
                is_last=True,
                metrics=outcome["metrics"],
                duration_ms=outcome["duration_ms"],
                is_simulated=outcome["is_simulated"],
                telemetry_end=telemetry_end,
            )
        elif ending.status == "failed":
            claim.write(StageFailed, is_last=True, **self._failure(claim, outcome), telemetry_end=telemetry_end)
        elif ending.status == "canceled":
            claim.write(StageCanceled, is_last=True, telemetry_end=telemetry_end)
        fault_point("end:after-record")
        return ending.status

    def _failure(self, claim: Claim, outcome: Mapping[str, Any]) -> dict[str, Any]:
        trace = outcome.get("traceback") or ""
        blob = None
        if trace:
            claim.wait_checked()
            blob = self._tools.blobs.put_bytes(trace.encode(errors="replace"))
        return {
            "error_class": outcome["error_class"],
            "error_type": _line(outcome["error_type"]),
            "message": _line(outcome["message"]),
            "traceback_blob": blob,
            "is_retryable": outcome["error_class"] == "transient",
        }

    def _give_up(self, claim: Claim, telemetry: ClaimTelemetry, error: CrucibleError) -> str:
        """The stage can't be started, or what it gave can't be kept: say so."""
        error_class = "transient" if isinstance(error, StorageError) else "permanent"
        outcome = {"error_class": error_class, "error_type": type(error).__name__, "message": str(error)}
        claim.write(StageFailed, is_last=True, **self._failure(claim, outcome), telemetry_end=telemetry.marks())
        return "failed"

    def _release(self, claim: Claim) -> None:
        try:
            claim.release()
        except LogError as error:
            event = "a claim could not be released; its lease will end"
            warning("worker", event, claim_id=claim.claim_id, error=str(error))

    def _pause(self, seconds: float) -> None:
        """Wait for the log; raises ``StoppedError`` once the worker is killed."""
        if self._killed.wait(seconds):
            message = "the worker was killed while records waited for the log"
            raise StoppedError(message)


def stage_call(
    offer: Offer, claimed: StageClaimed, place: Place, *, spool_bytes_max: int = SPOOL_BYTES_MAX
) -> StageCall:
    """What the child is told about a claim."""
    created, request = offer.created, offer.request
    return StageCall(
        run_id=request.run_id,
        ref=created.ref,
        experiment=created.experiment,
        label=created.label,
        repeat=created.repeat,
        params=json.loads(created.params_json),
        stage=request.stage,
        attempt=request.attempt,
        claim_id=claimed.claim_id,
        seed=request.seed,
        stage_type=request.stage_type,
        command=request.command,
        options=json.loads(request.options_json),
        inputs=json.loads(request.inputs_json),
        metrics=json.loads(request.metrics_json),
        datasets=json.loads(request.datasets_json),
        adapter=request.adapter,
        code_path=_code_path(request, place),
        code_digest=request.code_digest,
        checkpoint_every_ms=request.checkpoint_every_ms,
        steps_max=request.steps_max,
        is_smoke=request.is_smoke,
        scope=created.scope,
        scratch=str(place.scratch / claimed.claim_id),
        spool=str(place.spool / claimed.claim_id),
        blobs="" if place.blob_folder is None else str(place.blob_folder),
        kept=str(place.root / "kept"),
        spool_bytes_max=spool_bytes_max,
        hooks=json.loads(request.hooks_json) if request.hooks_json else {},
    )


def _code_path(request: StageRequested, place: Place) -> str | None:
    file = None if request.code_path is None else local_code(request.code_path, place.home)
    return request.code_path if file is None else str(file)


def _line(text: object) -> str:
    """A text that a record can hold, whatever the stage made it of."""
    return str(text)[:TEXT_LINE_MAX].encode("utf-8", "backslashreplace").decode()


def _is_told(child: ChildProcess) -> bool:
    """Tell a child that its telemetry is on the log; False if it has gone."""
    try:
        child.channel.send({"taken": True})
    except OSError:
        return False
    return True
