"""The fold of a run: what each event of its key does, or why it is void.

``evolve`` is the gate: any event may meet any state. What must hold (one start and one end for each generation, no
end while a claim lives, nothing new once a cancel was asked for) holds for the fold, whatever stands on the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crucible.records.log_events import (
    CommandAccepted,
    CommandObsolete,
    CommandRejected,
    NoteAdded,
    ReportRequested,
    TagsChanged,
)
from crucible.records.record import Record
from crucible.records.run_events import (
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunPurged,
    RunReopened,
    RunStarted,
)
from crucible.rules.answers import Answer, answer, check_effect
from crucible.rules.draft import Void
from crucible.rules.evolve_claim import CLAIM_EVOLVERS
from crucible.rules.evolve_stage import STAGE_EVOLVERS, without_request
from crucible.rules.state import LabelState, RunState, StageState, changed


def evolve(state: RunState | None, event: Record, known: LabelState | None = None) -> RunState | Void:
    """The run after ``event``, or why the event is void. Total: never raises for any event and any state.

    ``known`` is what the run's key had answered before the run existed.
    """
    if type(event) is RunCreated:
        return _created(state, event, known)
    evolver = _EVOLVERS.get(type(event))
    if evolver is None:
        return Void("no event of a run")
    if state is None:
        return Void("the run does not exist")
    return evolver(state, event)


def _created(run: RunState | None, event: RunCreated, known: LabelState | None) -> RunState | Void:
    if run is not None:
        return Void("the run exists")
    if not event.stages or len(event.stages) != len(event.retries_max) or len(set(event.stages)) != len(event.stages):
        return Void("a run needs stages, each once, and retries for each")
    stages = tuple(StageState(name=name, index=index) for index, name in enumerate(event.stages))
    run = RunState(created=event, stages=stages, opened_by=event.event_id)
    return run if known is None else changed(run, answered=known.answered, accepted=known.accepted)


def _started(run: RunState, event: RunStarted) -> RunState | Void:
    if run.status != "pending":
        return Void("the run has started")
    if event.generation != run.generation:
        return Void("of another generation")
    if run.cancel_reason is not None:
        return Void("the run is to be canceled")
    return changed(run, status="running", started=event, starts=run.starts + 1)


def _completed(run: RunState, event: RunCompleted) -> RunState | Void:
    if run.status != "running":
        return Void("the run is not running")
    if event.generation != run.generation:
        return Void("of another generation")
    if run.current_stage is not None:
        return Void("a stage has no result")
    return changed(run, status="completed")


def _failed(run: RunState, event: RunFailed) -> RunState | Void:
    if run.status != "running":
        return Void("the run is not running")
    if event.generation != run.generation:
        return Void("of another generation")
    stage = run.current_stage
    if stage is None or stage.name != event.stage:
        return Void("the stage is not the current one")
    if run.live_claim is not None:
        return Void("a claim lives")
    return changed(run, status="failed", end_reason=event.reason, stages=without_request(run, "failed"))


def _cancel_requested(run: RunState, event: RunCancelRequested) -> RunState | Void:
    if run.is_terminal:
        return Void("the run has ended")
    if run.cancel_reason is not None:
        return Void("the run is to be canceled")
    if void := check_effect(run, event):
        return void
    effects = run.effects | {event.event_id}
    return changed(run, cancel_reason=event.reason, cancel_event_id=event.event_id, effects=effects)


def _canceled(run: RunState, event: RunCanceled) -> RunState | Void:
    if run.is_terminal:
        return Void("the run has ended")
    if event.generation != run.generation:
        return Void("of another generation")
    if run.cancel_reason is None:
        return Void("no cancel was asked for")
    if run.live_claim is not None:
        return Void("a claim lives")
    return changed(run, status="canceled", end_reason=event.reason, stages=without_request(run, "canceled"))


def _reopened(run: RunState, event: RunReopened) -> RunState | Void:  # noqa: PLR0911  a return for each guard
    if not run.is_terminal:
        return Void("the run has not ended")
    if event.generation != run.generation + 1:
        return Void("of another generation")
    if run.purged:
        return Void("the run was purged")
    first = run.stage(event.from_stage)
    if first is None:
        return Void("the run has no such stage")
    if not all(stage.is_done for stage in run.stages[: first.index]):
        return Void("an earlier stage has no result")
    if void := check_effect(run, event):
        return void
    stages = tuple(_anew(stage, first) if stage.index >= first.index else stage for stage in run.stages)
    return changed(
        run,
        status="pending",
        generation=event.generation,
        started=None,
        opened_by=event.event_id,
        cancel_reason=None,
        cancel_event_id=None,
        end_reason=None,
        stages=stages,
    )


def _anew(stage: StageState, first: StageState) -> StageState:
    """The stage with all attempts behind it; checkpoints stay unless it completed or inputs change."""
    count = len(stage.attempts)
    if stage is first and not stage.is_done:
        return changed(stage, attempts_before=count)
    return changed(stage, attempts_before=count, attempts_void=count)


def _tags_changed(run: RunState, event: TagsChanged) -> RunState | Void:
    if void := check_effect(run, event):
        return void
    tags = (run.tags | frozenset(event.added)) - frozenset(event.removed)
    return changed(run, tags=tags, effects=run.effects | {event.event_id})


def _note_added(run: RunState, event: NoteAdded) -> RunState | Void:
    if void := check_effect(run, event):
        return void
    return changed(run, notes=(*run.notes, event.text), effects=run.effects | {event.event_id})


def _report_requested(run: RunState, event: ReportRequested) -> RunState | Void:
    if void := check_effect(run, event):
        return void
    return changed(run, effects=run.effects | {event.event_id})


def _purged(run: RunState, event: RunPurged) -> RunState | Void:
    if not run.is_terminal:
        return Void("the run has not ended")
    if run.purged:
        return Void("the run was purged")
    if void := check_effect(run, event):
        return void
    return changed(run, purged=True)


def _answered(run: RunState, event: Answer) -> RunState | Void:
    return answer(run, event)


_EVOLVERS: dict[type[Record], Callable[[RunState, Any], RunState | Void]] = {
    RunStarted: _started,
    RunCompleted: _completed,
    RunFailed: _failed,
    RunCancelRequested: _cancel_requested,
    RunCanceled: _canceled,
    RunReopened: _reopened,
    RunPurged: _purged,
    TagsChanged: _tags_changed,
    NoteAdded: _note_added,
    ReportRequested: _report_requested,
    CommandAccepted: _answered,
    CommandRejected: _answered,
    CommandObsolete: _answered,
    **STAGE_EVOLVERS,
    **CLAIM_EVOLVERS,
}
