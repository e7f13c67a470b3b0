"""The fold of a worker: it is there, and then it is gone. It decides nothing; leases do."""

from __future__ import annotations

from crucible.records.log_events import WorkerStarted, WorkerStopped
from crucible.records.record import Record
from crucible.rules.draft import Void
from crucible.rules.state import WorkerState, changed


def evolve(state: WorkerState | None, event: Record) -> WorkerState | Void:
    """The worker after ``event``, or why the event is void. Total."""
    if type(event) is WorkerStarted:
        if state is not None:
            return Void("the worker exists")
        return WorkerState(started=event)
    if type(event) is WorkerStopped:
        if state is None:
            return Void("the worker does not exist")
        if state.stopped is not None:
            return Void("the worker has stopped")
        return changed(state, stopped=event)
    return Void("no event of a worker")
