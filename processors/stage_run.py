"""One stage in a child, from its call to its end: what the child asks and prints, and when it is to stop."""

from __future__ import annotations

import dataclasses
import os
import selectors
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from crucible.board import Wish
from crucible.errors import FencedError, InternalError, StoppedError
from crucible.frames import Message
from crucible.processors.child_process import KILLED, LOST, ChildProcess
from crucible.processors.claim_telemetry import ClaimTelemetry
from crucible.processors.output import Output
from crucible.processors.stage_answers import StageAnswers
from crucible.stage_call import StageCall

CANCEL_GRACE_S: Final = 10.0
"""How long a stage may take to stop once its run is canceled."""
DRAIN_GRACE_S: Final = 30.0
"""How long a stage may take to save a checkpoint and stop once its worker drains."""
SAVED_GRACE_S: Final = 2.0
"""How long it may take to stop once it has saved that checkpoint."""
ATTACH_S: Final = 0.05
"""After this long the stage's telemetry is drained while it runs; a shorter stage's is drained at its end."""
LOOK_S: Final = 0.5
"""How often progress is looked at."""
TRACE_S: Final = 0.2
"""How long a child that hangs may take to write where it stands."""

Status = Literal["completed", "failed", "canceled", "drained", "fenced", "killed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """How a stage ended."""

    status: Status
    outcome: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the child said, or what its worker says for it: error_class, error_type, message, traceback."""
    is_child_fit: bool = False
    """The child may serve another stage."""

    @property
    def marks(self) -> Mapping[str, int]:
        """The ends of the stage's spools, where the child could still say them."""
        marks: Mapping[str, int] = self.outcome.get("marks", {})
        return marks


class StageRun:
    """Runs one stage. `run` belongs to the slot's thread; any thread may call the methods that ask it to stop."""

    def __init__(
        self,
        call: StageCall,
        child: ChildProcess,
        answers: StageAnswers,
        telemetry: ClaimTelemetry,
        *,
        killed: threading.Event,
        monotonic: Callable[[], float],
        timeout_ms: int | None,
        stall_timeout_ms: int | None,
    ) -> None:
        """Run ``call`` in ``child``. Timeouts count from the call. ``killed`` ends it at once, with `rouse`."""
        self._call = call
        self._child = child
        self._answers = answers
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._output = Output(telemetry.lines, monotonic)
        self._killed = killed
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_fenced = self._is_canceled = self._is_drained = False
        self._ending: Ending | None = None
        self._began_s = monotonic()
        self._timeout_s = None if timeout_ms is None else timeout_ms / 1000
        self._stall_s = None if stall_timeout_ms is None else stall_timeout_ms / 1000
        self._progress: tuple[object, ...] = ()
        self._progress_s = self._began_s
        self._look_s = self._began_s
        self._stop_by_s: float | None = None
        self._saved_before_drain = 0

    # From any thread

    def cancel(self) -> None:
        """The run is canceled: ask the stage to stop, and end it after ``CANCEL_GRACE_S``."""
        self._is_canceled = True
        self.rouse()

    def drain(self) -> None:
        """The worker drains: ask the stage to save and stop, and end it after ``DRAIN_GRACE_S``."""
        self._is_drained = True
        self.rouse()

    def fence(self) -> None:
        """The claim has ended: end the stage now."""
        self._is_fenced = True
        self.rouse()

    def rouse(self) -> None:
        """Make the slot's thread look again."""
        with self._lock:
            if not self._is_closed:
                os.eventfd_write(self._wake, 1)

    @property
    def step(self) -> int | None:
        """Steps done, as the stage reports them; None: it reports none."""
        with self._lock:
            return None if self._is_closed else self._child.board.step or None

    # The slot's thread

    def run(self) -> Ending:
        """Run the stage to its end. The child is left alive where it may serve another stage, else ended."""
        try:
            with selectors.DefaultSelector() as selector:
                ending = self._converse(selector)
        except FencedError as error:
            ending = Ending("fenced", {"message": str(error)})
        except StoppedError as error:
            ending = Ending("killed", {"message": str(error)})
        ending = self._with_its_telemetry(ending)
        if not ending.is_child_fit:
            ending = self._end_child(ending)
        for stream, descriptor in (("stdout", self._child.out), ("stderr", self._child.err)):
            self._output.read(stream, descriptor, is_rest=True)
        self._output.finish()
        return ending

    def close(self) -> None:
        """Forget the child: it may serve another stage, or is gone."""
        with self._lock:
            self._is_closed = True
            os.close(self._wake)

    def _converse(self, selector: selectors.BaseSelector) -> Ending:
        child = self._child
        selector.register(child.channel, selectors.EVENT_READ, self._on_message)
        selector.register(self._wake, selectors.EVENT_READ, self._on_wake)
        for stream, descriptor in (("stdout", child.out), ("stderr", child.err)):
            selector.register(descriptor, selectors.EVENT_READ, self._reader(selector, stream, descriptor))
        try:
            child.begin(self._call)
        except OSError:
            self._ending = Ending("failed")
        while self._ending is None:
            for key, _ in selector.select(self._wait_s()):
                key.data()
            if self._ending is None:
                self._look()
        return self._ending

    def _reader(self, selector: selectors.BaseSelector, stream: str, descriptor: int) -> Callable[[], None]:
        def read() -> None:
            if not self._output.read(stream, descriptor):
                selector.unregister(descriptor)

        return read

    def _on_wake(self) -> None:
        os.eventfd_read(self._wake)

    def _on_message(self) -> None:
        channel = self._child.channel
        if not channel.fill():
            self._ending = Ending("failed")
            return
        try:
            while self._ending is None and (message := channel.next_buffered()) is not None:
                if "outcome" in message:
                    self._ending = self._ending_of(message["outcome"])
                else:
                    self._answer(message)
        except (InternalError, ValueError, LookupError, TypeError) as error:
            self._ending = Ending("failed", _garbled(error))

    def _answer(self, question: Message) -> None:
        if "ask" not in question:
            message = "neither a question nor an outcome"
            raise LookupError(message)
        answer = self._answers.answer(question)
        self._progress_s = self._monotonic()
        try:
            self._child.channel.send(answer)
        except OSError:
            self._ending = Ending("failed")

    def _ending_of(self, outcome: Message) -> Ending:
        status = outcome["status"]
        if status == "completed":
            return Ending("completed", outcome, is_child_fit=not outcome["is_tainted"])
        if self._is_canceled:
            return Ending("canceled", outcome)
        if self._is_drained and status == "stopped":
            return Ending("drained", outcome)
        if status == "failed":
            return Ending("failed", outcome)
        error_class = "fenced" if status == "fenced" else "permanent"
        reason = f"the stage stopped, though nothing asked it to: {outcome['message']}"
        return Ending(
            "failed", {**outcome, "error_class": error_class, "error_type": "StageCanceledError", "message": reason}
        )

    def _look(self) -> None:
        """End the stage, or ask it to stop, if it is time to."""
        now_s = self._monotonic()
        if self._killed.is_set() or self._is_fenced:
            self._ending = Ending("fenced" if self._is_fenced else "killed")
        elif self._is_canceled or self._is_drained:
            self._ask_to_stop(now_s)
        elif self._timeout_s is not None and now_s - self._began_s >= self._timeout_s:
            self._ending = self._out_of_time("timeout", f"it ran longer than {self._timeout_s:g} s")
        elif self._stall_s is not None and self._has_stalled(now_s):
            self._ending = self._out_of_time("stall", f"it made no progress for {self._stall_s:g} s")
        elif (hook := self._answers.hook) is not None and now_s >= hook.until_s:
            self._ending = self._out_of_time("hook", f"its hook {hook.name} did not end in time")
        if now_s - self._began_s >= ATTACH_S:
            self._telemetry.attach(self._child.pid)
        if self._output.due_s is not None and now_s >= self._output.due_s:
            self._output.flush()

    def _ask_to_stop(self, now_s: float) -> None:
        if self._stop_by_s is None:
            self._saved_before_drain = self._answers.checkpoints
            self._stop_by_s = now_s + (CANCEL_GRACE_S if self._is_canceled else DRAIN_GRACE_S)
        wish = Wish.CANCEL if self._is_canceled else Wish.DRAIN
        if self._child.board.wish < wish:
            self._child.board.wish = wish
            self._stop_by_s = min(self._stop_by_s, now_s + CANCEL_GRACE_S) if self._is_canceled else self._stop_by_s
        if not self._is_canceled and self._answers.checkpoints > self._saved_before_drain:
            self._stop_by_s = min(self._stop_by_s, now_s + SAVED_GRACE_S)
        if now_s >= self._stop_by_s:
            self._ending = Ending("canceled" if self._is_canceled else "drained")

    def _has_stalled(self, now_s: float) -> bool:
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            progress = (self._child.board.progress, *sorted(self._telemetry.marks().items()))
            if progress != self._progress:
                self._progress, self._progress_s = progress, now_s
        return self._stall_s is not None and now_s - self._progress_s >= self._stall_s

    def _out_of_time(self, error_class: str, message: str) -> Ending:
        self._child.ask_for_trace()
        self._killed.wait(TRACE_S)
        said = {"error_class": error_class, "error_type": error_class, "message": message}
        return Ending("failed", {**said, "traceback": self._child.trace()})

    def _with_its_telemetry(self, ending: Ending) -> Ending:
        """Promise no telemetry that is gone: a stage that has lost some has failed."""
        lost = self._telemetry.lost(ending.marks)
        if lost is None:
            return ending
        outcome: Message = {**ending.outcome, "marks": {}}
        if ending.status == "completed":
            outcome |= {"error_class": "transient", "error_type": "SpoolError", "message": lost}
            return Ending("failed", outcome)
        return dataclasses.replace(ending, outcome=outcome)

    def _end_child(self, ending: Ending) -> Ending:
        """End the child; of one that ended by itself, say how."""
        if ending.status != "failed" or ending.outcome:
            self._child.end()
            return ending
        how = self._child.end_gone()
        message = f"the stage's process ended: {how}"
        if how == KILLED:
            message += "; if nobody killed it, the machine may be out of memory"
        if how == LOST:
            message = "the zygote was killed, and the stage's process with it"
        error_class = "transient" if how in {LOST, KILLED} else "exit"
        said = {"error_class": error_class, "error_type": how, "message": message, "traceback": self._child.trace()}
        if self._is_canceled:
            return Ending("canceled", said)
        return Ending("failed", said)

    def _wait_s(self) -> float:
        """Until when nothing is to be done if nothing comes."""
        now_s = self._monotonic()
        dues = [now_s + LOOK_S]
        if now_s - self._began_s < ATTACH_S:
            dues.append(self._began_s + ATTACH_S)
        if self._output.due_s is not None:
            dues.append(self._output.due_s)
        if self._timeout_s is not None:
            dues.append(self._began_s + self._timeout_s)
        return max(0.0, min(dues) - now_s)


def _garbled(error: Exception) -> Message:
    """The outcome of a stage whose process sends what is no message."""
    message = (
        "the stage's process sent its worker what is no message: it, or something that it started, wrote to a "
        f"descriptor that is not its own ({error!r:.200})"
    )
    return {"error_class": "permanent", "error_type": "GarbledMessageError", "message": message}
