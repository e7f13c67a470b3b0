"""The runs of one submission by what they wait for, with counts that are kept as they change."""

from __future__ import annotations

import heapq
from typing import Literal

from crucible.rules.blueprint import Blueprint
from crucible.rules.state import RunState

Phase = Literal["pending", "starting", "requested", "active", "between", "completed", "failed", "canceled"]

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
        self._phases: dict[str, Phase] = {}
        self._counts: dict[Phase, int] = {}
        self._pending: list[tuple[int, str]] = []
        self._queued: set[str] = set()

    @property
    def created(self) -> int:
        """How many runs there are."""
        return len(self._phases)

    @property
    def requested(self) -> int:
        """Runs that are starting, or whose first stage waits for a worker."""
        return self._counts.get("requested", 0) + self._counts.get("starting", 0)

    @property
    def active(self) -> int:
        """Runs that a worker is at."""
        return self._counts.get("active", 0)

    @property
    def ended(self) -> dict[str, int]:
        """How many runs ended in which way."""
        return {phase: self._counts.get(phase, 0) for phase in ENDED_PHASES}

    def put(self, run: RunState) -> None:
        """Note where a run stands."""
        phase = _phase(run)
        self._set(run.run_id, phase)
        if phase in ENDED_PHASES:
            self.open_runs.pop(run.run_id, None)
        else:
            self.open_runs[run.run_id] = None
        if phase == "pending":
            self.enqueue(run)

    def starting(self, run_id: str) -> None:
        """The start of a run was planned and is not yet seen on the log."""
        self._set(run_id, "starting")

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
        if before is not None:
            self._counts[before] -= 1
        self._phases[run_id] = phase
        self._counts[phase] = self._counts.get(phase, 0) + 1


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
    return "requested" if stage.status == "requested" and stage.index == 0 else "between"
