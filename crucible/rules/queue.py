"""The runs of one submission by what they wait for, with counts that are kept as they change."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Literal

from crucible.rules.blueprint import Blueprint
from crucible.rules.state import RunState
from crucible.scope import EXPERIMENT_SCOPE, PHASE_LABELS

Phase = Literal["pending", "starting", "requested", "active", "between", "completed", "failed", "canceled"]

REQUESTED_MAX = 64
"""Runs of a submission that wait for a worker at their first stage, beyond as many as are being worked on."""
ENDED_PHASES: tuple[Phase, ...] = ("completed", "failed", "canceled")


class SubmissionQueue:
    """Where the runs of a submission stand. For one thread."""

    def __init__(self) -> None:
        self.blueprint: Blueprint | None = None
        self.next_created = 0
        """Index in the grid of the first run whose creation was not looked at."""
        self.open_runs: dict[str, None] = {}
        """Runs that have not ended."""
        self.granted: dict[str, None] = {}
        """Runs that have a permit and may not have started: they go first, wherever in the grid they stand."""
        self.experiment_runs: dict[str, RunState] = {}
        """Runs of scope experiment; they count neither as created nor as ended."""
        self.analyses: dict[int, RunState] = {}
        """Those of them that were asked for after the end, by number; they keep no submission open."""
        self._reopened: dict[str, int] = {}
        """For each run of the grid that ran again, how often."""
        self._phases: dict[str, Phase] = {}
        self._unseen: set[str] = set()
        """Runs whose creation and start were planned as one batch that was not read back yet."""
        self._counts: dict[Phase, int] = {}
        self._pending: list[tuple[int, str]] = []
        self._queued: set[str] = set()

    @property
    def created(self) -> int:
        """How many runs of the grid there are."""
        return len(self._phases) - len(self.experiment_runs)

    @property
    def has_open_grid(self) -> bool:
        """A run of the grid has not ended."""
        return sum(self.ended.values()) < self.created

    @property
    def analysis_number(self) -> int:
        """Number of the run that follows the grid: 1, and one more for each time that a run of the grid ran again.

        Whoever has seen this many reopenings and no open run has seen the same ends: a later one would count more.
        """
        return 1 + sum(self._reopened.values())

    @property
    def is_overtaken(self) -> bool:
        """The grid was followed by a run of its own, and has changed since."""
        after = [run for run in self.experiment_runs.values() if run.created.label == PHASE_LABELS["after"]]
        return bool(after) and all(run.created.repeat < self.analysis_number for run in after)

    @property
    def opening(self) -> RunState | None:
        """The run before the grid, once there is one."""
        return next((run for run in self.experiment_runs.values() if is_opening(run)), None)

    @property
    def run_ids(self) -> Iterable[str]:
        """Every run that there is."""
        return self._phases

    @property
    def requested(self) -> int:
        """Runs that are starting, or whose first stage to be executed waits for a worker."""
        return self._counts.get("requested", 0) + self._counts.get("starting", 0) + len(self._unseen)

    @property
    def active(self) -> int:
        """Runs that a worker is at."""
        return self._counts.get("active", 0)

    @property
    def room(self) -> int:
        """How many more runs may be asked for."""
        return REQUESTED_MAX + self.active - self.requested

    @property
    def ended(self) -> dict[str, int]:
        """How many runs of the grid ended in which way."""
        return {phase: self._counts.get(phase, 0) for phase in ENDED_PHASES}

    @property
    def experiment_ended(self) -> dict[str, int]:
        """How many runs of scope experiment failed and were canceled: the one before, and the newest one after."""
        labels = {(PHASE_LABELS["before"], 1), (PHASE_LABELS["after"], self.analysis_number)}
        counted = [
            run.status for run in self.experiment_runs.values() if (run.created.label, run.created.repeat) in labels
        ]
        return {f"experiment_{status}": counted.count(status) for status in ("failed", "canceled")}

    def put(self, run: RunState) -> None:
        """Note where a run stands."""
        phase = _phase(run)
        self._unseen.discard(run.run_id)
        if run.created.scope == EXPERIMENT_SCOPE:
            self.experiment_runs[run.run_id] = run
        elif run.generation > 1:
            self._reopened[run.run_id] = run.generation - 1
        self._set(run.run_id, phase)
        if is_analysis(run):
            self.analyses[run.created.repeat] = run
            return
        if phase in ENDED_PHASES:
            self.open_runs.pop(run.run_id, None)
        else:
            self.open_runs[run.run_id] = None
        if phase == "pending":
            self.enqueue(run)

    def starting(self, run_id: str) -> None:
        """The start of a run was planned and is not yet seen on the log; nor is its creation, if both are one batch."""
        if run_id in self._phases:
            self._set(run_id, "starting")
        else:
            self._unseen.add(run_id)

    def is_pending(self, run_id: str) -> bool:
        """Whether a run waits for its start."""
        return self._phases.get(run_id) == "pending"

    def next_pending(self) -> str | None:
        """Take the first run of the grid that waits for its start."""
        while self._pending:
            _, run_id = heapq.heappop(self._pending)
            self._queued.discard(run_id)
            if self._phases[run_id] == "pending":
                return run_id
        return None

    def enqueue(self, run: RunState) -> None:
        """Let a run wait for its start, at its place in the grid."""
        if run.run_id not in self._queued:
            self._queued.add(run.run_id)
            heapq.heappush(self._pending, (run.created.grid_index, run.run_id))

    def _set(self, run_id: str, phase: Phase) -> None:
        before = self._phases.get(run_id)
        if run_id in self.experiment_runs:
            self._phases[run_id] = phase
            return
        if before is not None:
            self._counts[before] -= 1
        self._phases[run_id] = phase
        self._counts[phase] = self._counts.get(phase, 0) + 1


def is_opening(run: RunState) -> bool:
    """Whether a run has to complete before the grid starts."""
    return run.created.scope == EXPERIMENT_SCOPE and run.created.label == PHASE_LABELS["before"]


def is_analysis(run: RunState) -> bool:
    """Whether a run was asked for after the end of its submission."""
    return run.created.scope == EXPERIMENT_SCOPE and run.created.label == PHASE_LABELS["again"]


def _phase(run: RunState) -> Phase:
    if run.status == "pending" and run.cancel_reason is not None:
        return "between"
    if run.status != "running":
        return run.status
    stage = run.current_stage
    if stage is None:
        return "between"
    if stage.status == "running":
        return "active"
    is_first = all(before.status == "reused" for before in run.stages[: stage.index])
    return "requested" if stage.status == "requested" and is_first else "between"
