"""Events of hooks: what was called under a claim, and how that went."""

from __future__ import annotations

from crucible.records.record import Record, record


@record(topic="events", key="run_id")
class HookCompleted(Record):
    """A hook was called and returned. Valid under a live claim."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim under which it was called."""
    hook: str
    """Which one: before_run, after_stage, on_error and so on."""
    function: str
    """module:function, or the command line."""
    duration_ms: float | None
    """How long it took; null: not measured."""


@record(topic="events", key="run_id")
class HookFailed(Record):
    """A hook was called and failed. Valid under a live claim."""

    run_id: str
    """The run."""
    stage: str
    """Stage name."""
    attempt: int
    """Attempt of the stage, from 1."""
    claim_id: str
    """The claim under which it was called."""
    hook: str
    """Which one: before_run, after_stage, on_error and so on."""
    function: str
    """module:function, or the command line."""
    duration_ms: float | None
    """How long it took; null: not measured."""
    error_type: str
    """Type of what it raised, or how its process ended."""
    message: str
    """What it said."""
    policy: str
    """fail: the stage fails with it; continue: it is only recorded."""
